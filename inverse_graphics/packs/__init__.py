"""Asset packs: meshes with a manifest."""
