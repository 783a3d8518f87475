"""Errors of inferred scenes, modulo the order and the symmetries of their objects."""
