"""Compositing of layers and backdrop by depth, pixel by pixel.

On the CPU one compiled pass does it (`compositing_numba`); the functions in plain torch here are used on
other devices, and are the reference implementation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.rendering.backdrop import Backdrop, table_and_background
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.scene.batch import SceneBatch

TABLE = -1
BACKGROUND = -2


class Composite(NamedTuple):
    """Layers and backdrop as one image.

    Attributes:
        image: (B, 3, H, W), linear colour.
        alpha: (B, H, W), the share of the pixel that objects cover.
        depth: (B, H, W), metres, of the surface that `mask` names, +inf on the background; not mixed, so that
            no point lies between an object and the surface behind it.
        mask: (B, H, W) int64, the most visible surface: an object's slot, or TABLE (−1), or BACKGROUND (−2).
    """

    image: Tensor
    alpha: Tensor
    depth: Tensor
    mask: Tensor


def compose(layers: Layers, backdrop: Backdrop) -> Composite:
    """Composite all objects over the backdrop; differentiable in both except for the mask.

    Per pixel the nearer layer is over the farther one (Porter & Duff 1984, "over"; equal depths are in the
    order of the slots); table and background are last. What lies behind the table is seen where the table
    does not cover the pixel (`seen_before_table`).
    """
    layers = seen_before_table(layers, backdrop)
    if _compiled(layers):
        return Composite(*_compose(layers, backdrop, layers.alpha.shape[1]))
    return compose_in_torch(layers, backdrop)


def composite_layers(scene: SceneBatch, engine: RenderEngine) -> Composite:
    """Render whole scenes with any engine: each object alone, then all of them over the backdrop."""
    layers = engine.layers(scene.objects, scene.camera, scene.light)
    return compose(layers, table_and_background(scene.table, scene.background, scene.camera, scene.light))


def composite(layers: Layers, backdrop: Backdrop) -> Tensor:
    """Only the image of `compose`; (B, 3, H, W)."""
    return compose(layers, backdrop).image


def composite_prefixes(layers: Layers, backdrop: Backdrop) -> Tensor:
    """Images of each scene's first 0, 1, … N objects from one rendering of N; (B, N + 1, 3, H, W)."""
    layers = seen_before_table(layers, backdrop)
    if _compiled(layers):
        return _compose(layers, backdrop, 0)[0]
    return prefixes_in_torch(layers, backdrop)


def seen_before_table(layers: Layers, backdrop: Backdrop) -> Layers:
    """Take away from objects what the table hides: the share of each pixel that the table covers.

    The very same layers if nothing lies behind the table. Differentiable in colours, alpha and coverage.
    """
    if backdrop.hidden_from is None:
        return layers
    depth = layers.depth.detach()
    hidden = (depth > backdrop.hidden_from[:, None]) & (depth < torch.inf)
    if not hidden.any():
        return layers
    share = torch.where(hidden, 1 - backdrop.coverage[:, None], 1.0)
    return Layers(layers.rgb * share[:, :, None], layers.depth, layers.alpha * share)


def compose_in_torch(layers: Layers, backdrop: Backdrop) -> Composite:
    """`compose` in plain torch, of objects before the table."""
    front, through = visible_shares(layers)
    mask = _mask(layers, backdrop, front.detach(), through.detach())
    return Composite(
        _over(layers.rgb, front, backdrop.rgb, through), 1 - through, _depth(layers, backdrop, mask), mask
    )


def prefixes_in_torch(layers: Layers, backdrop: Backdrop) -> Tensor:
    """`composite_prefixes` in plain torch."""
    images = [backdrop.rgb]
    for count in range(1, layers.alpha.shape[1] + 1):
        first = Layers(*(part[:, :count] for part in layers))
        front, through = visible_shares(first)
        images.append(_over(first.rgb, front, backdrop.rgb, through))
    return torch.stack(images, dim=1)


def visible_shares(layers: Layers) -> tuple[Tensor, Tensor]:
    """Compute the visible share of each layer and of the backdrop.

    Returns:
        front (B, N, H, W), the transmittance of the nearer layers in front of each layer, and through (B, H,
        W), the transmittance of all layers together; both in [0, 1].
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


def _mask(layers: Layers, backdrop: Backdrop, front: Tensor, through: Tensor) -> Tensor:
    table = through * backdrop.coverage.detach()
    shares = torch.cat([(through - table)[:, None], table[:, None], front * layers.alpha.detach()], dim=1)
    return shares.argmax(dim=1) + BACKGROUND


def _depth(layers: Layers, backdrop: Backdrop, mask: Tensor) -> Tensor:
    behind = torch.full_like(backdrop.depth, torch.inf)
    choices = torch.cat([behind[:, None], backdrop.depth[:, None], layers.depth], dim=1)
    return choices.gather(1, (mask - BACKGROUND)[:, None])[:, 0]


def _over(rgb: Tensor, front: Tensor, backdrop: Tensor, through: Tensor) -> Tensor:
    return (rgb * front[:, :, None]).sum(dim=1) + backdrop * through[:, None]


def _nearer(depth: Tensor, first: int, second: int) -> Tensor:
    """Whether layer `first` is in front of layer `second`."""
    if first < second:
        return depth[:, first] <= depth[:, second]
    return depth[:, first] < depth[:, second]


def _compiled(layers: Layers) -> bool:
    return layers.alpha.device.type == "cpu" and layers.alpha.numel() > 0


def _compose(layers: Layers, backdrop: Backdrop, first: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from inverse_graphics.rendering.compositing_numba import Compose

    images, alpha, depth, mask = Compose.apply(*layers, *backdrop[:3], first)  # type: ignore[no-untyped-call]
    return images, alpha, depth, mask
