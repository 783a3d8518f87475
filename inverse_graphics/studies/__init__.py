"""Studies: the same recipe trained in several ways, and what came of each, side by side."""

from inverse_graphics.errors import require_extras

require_extras("a study", "train", "plots")  # here, so that none trains for hours and then cannot draw
