"""PyTorch3D as a render engine: *shared* (its visibility, our shading) and *native* (all its own)."""
