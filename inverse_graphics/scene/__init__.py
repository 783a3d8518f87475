"""Scenes: what stands where, under which light, seen from where."""
