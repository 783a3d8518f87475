"""Finite differences: gradients of engines that have none."""
