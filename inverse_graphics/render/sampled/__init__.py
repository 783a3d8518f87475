"""Engines that are asked one thing only: which face is met in the middle of each part of a pixel."""
