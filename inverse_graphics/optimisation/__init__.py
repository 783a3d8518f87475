"""Search for the scene of an image through a renderer, without a network or from its prediction."""
