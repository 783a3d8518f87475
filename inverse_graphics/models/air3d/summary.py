"""A few numbers about each object that was found in space: enough to tell it from other things.

What an object of another kind is taken for explains its place and size as well as a badly judged pose of a
familiar one would; its colours, and where the errors are, differ.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.reading import SceneReading
from inverse_graphics.models.familiarity import ParsedImages
from inverse_graphics.render.compositing import visible_shares

STATISTICS = (
    "red", "green", "blue", "red error", "green error", "blue error",
    "error inside", "error around", "error elsewhere", "size",
)  # fmt: skip
AROUND = 3
"""How far "around" reaches, pixels."""
UNSEEN = 0.5
"""Added to areas in pixels, so that what hardly shows has numbers too."""


@torch.no_grad()
def summarised(model: Air3D, images: Tensor, reading: SceneReading) -> ParsedImages:
    """What familiar images are told by.  images: (B, 3, H, W) in [0, 1], which were read."""
    summaries = object_summaries(images, _drawn(reading), _visible(model, reading))
    parts = (reading.scenes.counts, reading.log_likelihood, summaries)
    return ParsedImages(*(part.cpu().numpy() for part in parts))


def object_summaries(images: Tensor, reconstructions: Tensor, visible: Tensor) -> Tensor:
    """What each object looks like, in the order of `STATISTICS`: (B, N, 10).

    Colours are means over what is seen of the object, of the image and of its difference from the
    reconstruction. Errors are squares of this difference, smoothed so that noise counts little, on a
    logarithmic scale: their means over what is seen of the object and over a seam around it, and over the
    whole image but for these. Size is the root of the area, pixels, logarithmic as well.
    images, reconstructions: (B, 3, H, W) in [0, 1].  visible: (B, N, H, W), the share of each pixel in which
    the object is seen; the numbers of objects that are not seen mean nothing.
    """
    area = visible.sum((-1, -2))
    difference = images - reconstructions
    error = avg_pool2d(difference, 3, 1, 1).square().mean(1)
    near = max_pool2d(visible, 2 * AROUND + 1, 1, AROUND)
    around = (near - visible).clamp(min=0)
    elsewhere = (1 - near.sum(1, keepdim=True).clamp(max=1)).expand_as(visible)
    colours = [_mean(part[:, None], visible[:, :, None]) for part in (images, difference)]
    errors = [(_mean(error[:, None], place) + 1e-3).log() for place in (visible, around, elsewhere)]
    size = 0.5 * (area + UNSEEN).log()
    return torch.cat([*colours, torch.stack([*errors, size], dim=-1)], dim=-1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum((-1, -2)) / (weights.sum((-1, -2)) + UNSEEN)


def _drawn(reading: SceneReading) -> Tensor:
    """The reconstructions: (B, 3, H, W)."""
    counts = reading.scenes.counts
    return reading.prefixes[torch.arange(len(counts), device=counts.device), counts]


def _visible(model: Air3D, reading: SceneReading) -> Tensor:
    """The share of each pixel in which each object is seen: (B, N, H, W)."""
    found = reading.scenes
    scene = model.stage.scene(found.orbit, found.asset, found.position, found.rotation)
    layers = model.engine.layers(scene.objects, scene.camera, scene.light)
    return visible_shares(layers)[0] * layers.alpha
