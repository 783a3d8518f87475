"""Render engines, and the compositing of their layers."""
