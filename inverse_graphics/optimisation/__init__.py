"""Scenes found by search through a renderer: what one does without a network, or after it."""
