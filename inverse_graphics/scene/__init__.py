"""Scenes: objects and their poses, light, and camera."""
