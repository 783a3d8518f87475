"""Training recipes: data."""
