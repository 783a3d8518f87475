"""Recipes, and the loop that trains from them."""
