"""Gradients by finite differences, for engines without gradients."""
