"""Open3D's ray casting as a render engine; optional: `pip install open3d`."""
