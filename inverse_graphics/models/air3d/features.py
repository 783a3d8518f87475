"""What the network sees: the whole image once, and at each step what is not yet explained.

Maps are an eighth and a quarter as wide as the image. They are kept "channels last", and convolved in
bfloat16 where the settings say so: together three to four times faster on CPUs that have it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_unshuffle, relu

STRIDE = 4
"""Pixels per cell of the finer map, on which objects are located."""


class Maps(NamedTuple):
    """fine: (B, C2, H/4, W/4).  coarse: (B, C3, H/8, W/8)."""

    fine: Tensor
    coarse: Tensor


class ImageFeatures(nn.Module):
    """Sees the whole image, with the pixels' coordinates."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = channels
        self.down = nn.ModuleList([_halve(5, first), _halve(first, second), _halve(second, third)])
        self.widen = _conv(third, third)
        self.lateral = nn.Conv2d(second, second, 1)
        self.top = nn.Conv2d(third, second, 1)

    def forward(self, images: Tensor) -> Maps:
        """images: (B, 3, H, W) in [0, 1]."""
        seen = torch.cat([images, _coordinates(images)], dim=1)
        half, quarter, eighth = self.down
        fine = relu(quarter(relu(half(seen.contiguous(memory_format=torch.channels_last)))))
        coarse = relu(eighth(fine))
        coarse = coarse + relu(self.widen(coarse))
        return Maps(relu(self.lateral(fine) + _twice(self.top(coarse))), coarse)


class StepFeatures(nn.Module):
    """Sees what the composite so far leaves unexplained, beside the image's own features."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        _, quarter, eighth = channels
        self.notice = _halve(4 * 4, quarter)
        self.fuse, self.eighth = _conv(quarter, quarter), _halve(quarter, eighth)
        self.widen = _conv(eighth, eighth)
        self.top = nn.Conv2d(eighth, quarter, 1)

    def forward(self, image: Tensor, difference: Tensor, explained: Tensor) -> Maps:
        """image: (B, C2, H/4, W/4), the image's fine map.  difference: (B, 3, H, W), image less composite.

        explained: (B, 1, H, W), the share of each pixel that objects cover already.
        """
        left = pixel_unshuffle(torch.cat([difference, explained - 0.5], dim=1), 2)
        fine = relu(image + self.notice(left.contiguous(memory_format=torch.channels_last)))
        fine = fine + relu(self.fuse(fine))
        coarse = relu(self.eighth(fine))
        coarse = coarse + relu(self.widen(coarse))
        return Maps(relu(fine + _twice(self.top(coarse))), coarse)


def _halve(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _twice(maps: Tensor) -> Tensor:
    return interpolate(maps, scale_factor=2.0, mode="nearest")


def _coordinates(images: Tensor) -> Tensor:
    """Columns and rows from −1 to 1 as two more channels: (B, 2, H, W)."""
    batch, _, height, width = images.shape
    down = torch.linspace(-1, 1, height, device=images.device, dtype=images.dtype)
    right = torch.linspace(-1, 1, width, device=images.device, dtype=images.dtype)
    grid = torch.stack(torch.meshgrid(down, right, indexing="ij"))
    return grid.expand(batch, -1, -1, -1)
