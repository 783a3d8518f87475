"""Families of scenes: distributions to draw training images and data sets from, and the models' priors."""
