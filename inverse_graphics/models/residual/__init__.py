"""Residual networks with a number of units that depends on the image position: ACT, SACT, PACT, PSACT."""
