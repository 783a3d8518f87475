"""A scene that explains an image, searched: many tries, the best of them moved uphill, one of these drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import NO_DEFENCE, Defence
from inverse_graphics.likelihood import GaussianLikelihood, PyramidLikelihood
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.prior import log_prior_of_prefixes
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.refinement import refined
from inverse_graphics.models.air3d.staged import StagedScenes, draw_prefixes


class Search(NamedTuple):
    """How hard to look.

    tries: scenes drawn for each image, from its posterior, defended.  kept: how many of them are moved
    uphill, by `steps` of gradient ascent.  levels: scales at which tries are compared with the image.
    """

    tries: int
    kept: int
    steps: int
    levels: int = 3
    defence: Defence = NO_DEFENCE


def searched(
    model: Air3D, images: Tensor, search: Search, temperature: float, generator: torch.Generator
) -> StagedScenes:
    """One scene for each of the images (B, 3, H, W), drawn by how well it explains it, tempered."""
    with compared_at(model, search.levels):
        proposals = propose(model, images, search.tries, generator, search.defence)
    scenes = proposals.resample_several(generator, temperature, search.kept)
    scenes = refined(scenes, images.repeat(search.kept, 1, 1, 1), model, search.steps, search.levels)
    log_joint = _log_joint(scenes, images.repeat(search.kept, 1, 1, 1), model).reshape(search.kept, -1)
    chosen = torch.multinomial(torch.softmax(log_joint.T / temperature, -1), 1, generator=generator)[:, 0]
    index = chosen * len(images) + torch.arange(len(images), device=chosen.device)
    return StagedScenes(*(part[index] for part in scenes))


@contextmanager
def compared_at(model: Air3D, levels: int) -> Iterator[None]:
    """Let the model compare images at several scales within the block."""
    exact, model.likelihood = model.likelihood, PyramidLikelihood(model.settings.sigma, levels)
    try:
        yield
    finally:
        model.likelihood = exact


@torch.no_grad()
def _log_joint(scenes: StagedScenes, images: Tensor, model: Air3D) -> Tensor:
    """log p(image, scene): (B,), nats."""
    drawn = draw_prefixes(scenes, model.stage, model.engine).images[:, -1]
    log_likelihood = GaussianLikelihood(model.settings.sigma).log_prob(images, drawn)
    log_prior = log_prior_of_prefixes(scenes, model.stage)
    return log_likelihood + log_prior.gather(1, scenes.counts[:, None])[:, 0]
