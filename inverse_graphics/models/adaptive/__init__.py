"""Recurrent networks with adaptive computation time."""
