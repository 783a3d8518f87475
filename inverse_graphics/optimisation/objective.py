"""What is climbed: how well scenes explain images, and how probable they were before."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.likelihood import GaussianLikelihood, PyramidLikelihood
from inverse_graphics.models.air3d.prior import log_prior_of_prefixes, overlap
from inverse_graphics.models.air3d.stage import Stage
from inverse_graphics.models.air3d.staged import StagedScenes, nearest_first
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.rendering import render

NATS_PER_METRE = 6000.0
"""What objects that come too close to each other cost while they are moved, so that they part."""


def draw_scenes(scenes: StagedScenes, stage: Stage, engine: RenderEngine) -> Tensor:
    """Pictures of whole scenes: (B, 3, H, W), differentiable where the engine is."""
    return render(stage.scene(scenes.orbit, scenes.asset, scenes.position, scenes.rotation), engine).image


def log_likelihood(images: Tensor, pictures: Tensor, sigma: float) -> Tensor:
    """log p(image | scene) at the image's own scale: (B,), nats."""
    return GaussianLikelihood(sigma).log_prob(images, pictures)


def log_prior(scenes: StagedScenes, stage: Stage) -> Tensor:
    """log p(scene), objects in any slots: (B,), nats; not differentiable."""
    with torch.no_grad():
        ordered = nearest_first(scenes, stage)
        return log_prior_of_prefixes(ordered, stage).gather(1, ordered.counts[:, None])[:, 0]


def surrogate(
    images: Tensor, pictures: Tensor, scenes: StagedScenes, stage: Stage, sigma: float, levels: int
) -> Tensor:
    """What gradients are taken of: likelihood at `levels` scales, less what crowding costs: (B,)."""
    crowding = NATS_PER_METRE * overlap(scenes, stage)[:, -1]
    return PyramidLikelihood(sigma, levels).log_prob(images, pictures) - crowding
