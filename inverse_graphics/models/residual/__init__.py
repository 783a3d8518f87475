"""Residual networks that decide how many units each place of an image needs: ACT, SACT, PACT, PSACT."""
