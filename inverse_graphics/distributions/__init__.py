"""Distributions of scene quantities (priors and posteriors): samples, densities and divergences."""
