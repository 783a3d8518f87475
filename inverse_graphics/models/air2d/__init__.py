"""Attend, infer, repeat for images of objects in the plane."""
