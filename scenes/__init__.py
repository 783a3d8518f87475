"""Example scenes: data."""
