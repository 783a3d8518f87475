"""Distributions of what a scene is made of: priors and posteriors, their samples and divergences."""
