"""Feature maps of the whole image, computed once, and of the residual, computed at each step.

Maps have an eighth and a quarter of the image's resolution. They have channels-last memory layout, and are
convolved in bfloat16 if so configured, which together is three to four times faster on CPUs with bfloat16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate, relu, silu

from inverse_graphics.scene.tensor_batch import TensorBatch

STRIDE = 4
"""Pixels per cell of the finer map, on which objects are located."""


@dataclass(frozen=True)
class Maps(TensorBatch):
    """Feature maps of B images.

    Attributes:
        fine: (B, C2, H/4, W/4).
        coarse: (B, C3, H/8, W/8).
    """

    fine: Tensor
    coarse: Tensor


class CellNorm(nn.Module):
    """Divides each cell's features by their root mean square (Zhang & Sennrich 2019), so that none can grow.

    A step of Adam moves a linear head's output in proportion to the size of its input. Where maps are not
    normalised they grow, and steps of the same learning rate move positions ever farther.
    """

    EPS = 1e-4

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """maps: (B, C, H, W).  Returns the same in float32."""
        maps = maps.float()
        return maps * torch.rsqrt(maps.square().mean(1, keepdim=True) + self.EPS) * self.gain[:, None, None]


def _norm_of_cells(channels: int, normalise: bool) -> nn.Module:
    return CellNorm(channels) if normalise else nn.Identity()


class ImageFeatures(nn.Module):
    """Encodes the whole image, with the pixels' coordinates as further channels.

    Args:
        image_channels: number of channels of `InputChannels.image`.
        channels: numbers of channels of the layers.
        normalise: whether the fine map is normalised, see `CellNorm`.
    """

    def __init__(self, image_channels: int, channels: tuple[int, int, int], normalise: bool) -> None:
        super().__init__()
        first, second, third = channels
        inputs = image_channels + 2
        self.down = nn.ModuleList([halve(inputs, first), halve(first, second), halve(second, third)])
        self.widen = _conv(third, third)
        self.lateral = nn.Conv2d(second, second, 1)
        self.top = nn.Conv2d(third, second, 1)
        self.norm = _norm_of_cells(second, normalise)

    def forward(self, image: Tensor) -> Maps:
        """Compute the feature maps of images (B, C, H, W), see `InputChannels.image`."""
        inputs = torch.cat([image, coordinates(image)], dim=1)
        half, quarter, eighth = self.down
        fine = relu(quarter(relu(half(inputs.contiguous(memory_format=torch.channels_last)))))
        coarse = relu(eighth(fine))
        coarse = coarse + relu(self.widen(coarse))
        return Maps(self.norm(relu(self.lateral(fine) + _twice(self.top(coarse)))), coarse)


class StepFeatures(nn.Module):
    """Fuses the features of the image with features of the previous steps.

    Args:
        channels: numbers of channels of the layers.
        residual_encoder: maps the residual or the recurrent state to features (B, C2, H/4, W/4).
        normalise: whether the maps are normalised, see `CellNorm`.
    """

    def __init__(self, channels: tuple[int, int, int], residual_encoder: nn.Module, normalise: bool) -> None:
        super().__init__()
        _, quarter, eighth = channels
        self.residual_encoder = residual_encoder
        self.fuse, self.eighth = _conv(quarter, quarter), halve(quarter, eighth)
        self.widen = _conv(eighth, eighth)
        self.top = nn.Conv2d(eighth, quarter, 1)
        self.norm = _norm_of_cells(quarter, normalise)
        self.norm_coarse = _norm_of_cells(eighth, normalise)

    def forward(self, image: Tensor, residual: Tensor) -> Maps:
        """Fuse the fine map (B, C2, H/4, W/4) with `InputChannels.residual`, or the units of a `Hidden`."""
        fine = relu(image + self.residual_encoder(residual))
        fine = fine + relu(self.fuse(fine))
        coarse = relu(self.eighth(fine))
        coarse = coarse + relu(self.widen(coarse))
        return Maps(self.norm(relu(fine + _twice(self.top(coarse)))), self.norm_coarse(coarse))


class Normed(nn.LayerNorm):
    """Layer norm and an activation: relu before the norm, or silu after it.

    With relu before the norm, most units become permanently inactive over thousands of steps, and orientation
    accuracy degrades. Silu after the norm prevents this.
    """

    def __init__(self, features: int, activation: str) -> None:
        super().__init__(features)
        self.smooth = activation == "silu"

    def forward(self, features: Tensor) -> Tensor:
        """Normalise and activate features (..., F); returns float32."""
        if self.smooth:
            return silu(super().forward(features.float()))
        return super().forward(relu(features).float())


class GlimpseFeatures(nn.Module):
    """Encodes a small window at full resolution, as details that distinguish orientations are pixels wide."""

    SIZE = 32

    def __init__(
        self, glimpse_channels: int, channels: tuple[int, int, int], features: int, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.activation = silu if activation == "silu" else relu
        half, quarter, eighth = channels
        self.down = nn.ModuleList(
            [halve(glimpse_channels, half), halve(half, quarter), halve(quarter, eighth)]
        )
        self.norms = nn.ModuleList(_norm_of_maps(width, activation) for width in channels)
        self.flat = nn.Linear(eighth * (self.SIZE // 8) ** 2, features)
        self.norm = Normed(features, activation)

    def forward(self, glimpse_input: Tensor, pixel: Tensor) -> Tensor:
        """Compute features (B, F) of windows of inputs (B, C, H, W) centred at `pixel` (B, 2)."""
        window = _window(glimpse_input, pixel, self.SIZE).contiguous(memory_format=torch.channels_last)
        for layer, norm in zip(self.down, self.norms, strict=True):
            window = self.activation(norm(layer(window)))
        features: Tensor = self.norm(self.flat(window.flatten(1)))
        return features


def _norm_of_maps(channels: int, activation: str) -> nn.Module:
    """A norm before silu, as in `Normed`; without it most channels become constant."""
    return nn.GroupNorm(math.gcd(8, channels), channels) if activation == "silu" else nn.Identity()


def _window(glimpse_input: Tensor, pixel: Tensor, size: int) -> Tensor:
    """Crop a window of `size` pixels centred at each `pixel`, zero outside the image: (B, C, size, size)."""
    height, width = glimpse_input.shape[-2:]
    extent = pixel.new_tensor([width, height])
    centre = (2 * pixel / extent - 1).detach()
    steps = (torch.arange(size, device=pixel.device, dtype=pixel.dtype) + 0.5) - size / 2
    x = centre[:, 0, None] + 2 * steps / width
    y = centre[:, 1, None] + 2 * steps / height
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1)
    return grid_sample(glimpse_input, grid, align_corners=False)


def halve(inputs: int, outputs: int) -> nn.Conv2d:
    """A convolution with stride 2."""
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _twice(maps: Tensor) -> Tensor:
    return interpolate(maps, scale_factor=2.0, mode="nearest")


def coordinates(images: Tensor) -> Tensor:
    """Pixel coordinates (column, row) in [−1, 1]: (B, 2, H, W)."""
    batch, _, height, width = images.shape
    down = torch.linspace(-1, 1, height, device=images.device, dtype=images.dtype)
    right = torch.linspace(-1, 1, width, device=images.device, dtype=images.dtype)
    grid = torch.stack(torch.meshgrid(down, right, indexing="ij"))
    return grid.expand(batch, -1, -1, -1)
