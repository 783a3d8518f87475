"""AIR for 3D scenes, with a given and fixed renderer."""
