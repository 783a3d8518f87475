"""Where a network looked long: the number of units that ran, at each pixel of an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from inverse_graphics.models.residual.network import ImageThought


def computation_map(thought: ImageThought, size: int) -> Tensor:
    """(B, S, S): the sum over blocks of the units at the position that a pixel lies in."""
    maps = [interpolate(block.steps[:, None], size=(size, size)) for block in thought.blocks]
    return torch.stack(maps).sum(0)[:, 0]
