"""Engines that only find the face at the centre of each part of a pixel."""
