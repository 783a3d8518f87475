"""Measurements of speed and accuracy, each a table and a JSON file."""
