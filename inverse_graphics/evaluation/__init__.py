"""How well a trained model does on held-out images."""
