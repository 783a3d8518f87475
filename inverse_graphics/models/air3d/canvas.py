"""The scene so far, drawn: what a step of a network with a renderer knows of the steps before it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from inverse_graphics.models.air3d.features import CONTRAST

NOTICED, PICTURED = 4 * (3 + 1), 3 + 3 + 1
"""Channels of what a step notices, and of what it looks at closely."""


class Canvas(NamedTuple):
    """A picture so far.  image: (B, 3, H, W).  explained: (B, 1, H, W), what objects cover of each pixel."""

    image: Tensor
    explained: Tensor

    def detached(self) -> Canvas:
        """The same, held fixed."""
        return Canvas(self.image.detach(), self.explained.detach())

    def noticed(self, images: Tensor) -> Tensor:
        """What of images (B, 3, H, W) is not explained yet: (B, 16, H/2, W/2), blocks of 2 × 2 pixels."""
        left = torch.cat([CONTRAST * (images - self.image), self.explained], dim=1)
        return pixel_unshuffle(left, 2).contiguous(memory_format=torch.channels_last)

    def picture(self, images: Tensor) -> Tensor:
        """What there is to look at closely: (B, 7, H, W)."""
        seen = [CONTRAST * (images - 0.5), CONTRAST * (images - self.image), self.explained]
        return torch.cat(seen, dim=1)
