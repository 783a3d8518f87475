"""Networks that infer scenes from images, and their weights."""
