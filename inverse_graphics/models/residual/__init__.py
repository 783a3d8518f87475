"""Residual networks that decide, for each place of an image, how many units it needs: ACT, SACT, PACT, PSACT."""
