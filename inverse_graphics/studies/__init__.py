"""Studies: comparisons of variants of a training recipe."""

from inverse_graphics.errors import require_extras

require_extras("a study", "train", "plots")  # checked before hours of training
