"""Engines of which the backend only finds the visible face at each sample of a pixel."""
