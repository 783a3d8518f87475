"""Gradients of engines that have none, by central differences."""
