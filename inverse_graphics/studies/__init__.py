"""Studies: the same recipe trained in several ways, and what came of each, side by side."""
