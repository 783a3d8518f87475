"""PyTorch3D as a render engine, in two forms: *shared* (its visibility, our shading) and *native* (all its own)."""
