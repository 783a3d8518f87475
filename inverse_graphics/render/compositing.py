"""Layers laid over each other and over the backdrop, by depth, pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.render.backdrop import Backdrop
from inverse_graphics.render.engine import Layers

TABLE = -1
BACKGROUND = -2


def composite(layers: Layers, backdrop: Backdrop) -> Tensor:
    """Lay all objects over the backdrop; (B, 3, H, W), differentiable in both.

    Per pixel the nearer layer lies over the farther one (Porter & Duff 1984, "over"; equal depths keep the
    order of the slots); table and background always come last.
    """
    front, through = visible_shares(layers)
    return _over(layers.rgb, front, backdrop.rgb, through)


def composite_prefixes(layers: Layers, backdrop: Backdrop) -> Tensor:
    """Images of each scene's first 0, 1, … N objects from one rendering of N; (B, N + 1, 3, H, W)."""
    images = [backdrop.rgb]
    for count in range(1, layers.alpha.shape[1] + 1):
        images.append(composite(Layers(*(part[:, :count] for part in layers)), backdrop))
    return torch.stack(images, dim=1)


def visible_shares(layers: Layers) -> tuple[Tensor, Tensor]:
    """How much of each layer, and of the backdrop, is seen.

    Returns front (B, N, H, W), what the nearer layers let through to each layer, and through (B, H, W),
    what all layers together let through; both in [0, 1].
    """
    clear = 1 - layers.alpha
    count = layers.alpha.shape[1]
    front = []
    for i in range(count):
        seen = torch.ones_like(clear[:, 0])
        for j in range(count):
            if j != i:
                nearer = _nearer(layers.depth.detach(), j, i)
                seen = seen * torch.where(nearer, clear[:, j], 1.0)
        front.append(seen)
    if not front:
        return layers.alpha, layers.alpha.new_ones(layers.alpha.shape[:1] + layers.alpha.shape[2:])
    return torch.stack(front, dim=1), clear.prod(dim=1)


def instance_mask(layers: Layers, backdrop: Backdrop) -> Tensor:
    """Which object is seen most in each pixel; (B, H, W) int64, its slot, or TABLE (−1), BACKGROUND (−2)."""
    front, through = visible_shares(Layers(*(part.detach() for part in layers)))
    table = through * backdrop.coverage.detach()
    shares = torch.cat([(through - table)[:, None], table[:, None], front * layers.alpha.detach()], dim=1)
    return shares.argmax(dim=1) + BACKGROUND


def depth_image(layers: Layers, backdrop: Backdrop, mask: Tensor) -> Tensor:
    """Depth of what `instance_mask` says is seen; (B, H, W) metres, +inf on the background.

    Taken from one surface and not mixed, so that no point floats between an object and what is behind it.
    """
    behind = torch.full_like(backdrop.depth, torch.inf)
    choices = torch.cat([behind[:, None], backdrop.depth[:, None], layers.depth], dim=1)
    return choices.gather(1, (mask - BACKGROUND)[:, None])[:, 0]


def _over(rgb: Tensor, front: Tensor, backdrop: Tensor, through: Tensor) -> Tensor:
    return (rgb * front[:, :, None]).sum(dim=1) + backdrop * through[:, None]


def _nearer(depth: Tensor, first: int, second: int) -> Tensor:
    """Whether layer `first` lies before layer `second`."""
    if first < second:
        return depth[:, first] <= depth[:, second]
    return depth[:, first] < depth[:, second]
