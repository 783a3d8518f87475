"""PyTorch3D as a render engine: *shared* (with the embedded engine's shading) and *native* (its own)."""
