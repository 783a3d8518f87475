"""The posterior's density at given scenes: what the sleep and wake phases and supervision climb.

All steps are taken at once, each shown the prefix before it, so they share one pass through the network.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import NO_DEFENCE, Defence
from inverse_graphics.models.air3d.network import Air3D, Canvas
from inverse_graphics.models.air3d.posterior import ObjectPosterior
from inverse_graphics.models.air3d.stage import Stage
from inverse_graphics.models.air3d.staged import Prefixes, StagedScenes, depths


class LogPosterior(NamedTuple):
    """log q(scene | image) in parts, each (B,), nats.

    camera: of what is free of it.  presence: of the count.  objects: of each object's kind, position and
    turn, summed over those that are there.
    """

    camera: Tensor
    presence: Tensor
    objects: Tensor

    @property
    def total(self) -> Tensor:
        """log q of the whole scene: (B,)."""
        return self.camera + self.presence + self.objects


def log_posterior(
    model: Air3D,
    images: Tensor,
    scenes: StagedScenes,
    prefixes: Prefixes,
    seen_orbit: Tensor | None = None,
    tie_m: float = 0.0,
    defence: Defence = NO_DEFENCE,
) -> LogPosterior:
    """log q(scenes | images), each step shown `prefixes` and no more.

    images: (B, 3, H, W).  prefixes: of these scenes, or of scenes a little off, as inference would see them;
    seen_orbit: then the orbit (B, 3) from which they were drawn.  tie_m: a step may name any object that is
    not farther behind the nearest one left than this, metres of depth: its density is the mean over them.
    defence: of the posterior, if it is to be robust: what it holds impossible then costs no more than
    the logarithm of the share that is drawn from anywhere, and teaches it nothing.
    """
    maps = model.features(images)
    camera = model.camera(maps)
    log_camera = images.new_zeros(len(images))
    if camera is not None:
        log_camera = camera.log_prob(scenes.orbit[:, model.stage.free])

    image, step = _steps_taken(scenes, model.max_objects)
    orbit = (scenes.orbit if seen_orbit is None else seen_orbit)[image]
    posterior = model.posterior(
        maps.fine[image],
        images[image],
        Canvas(prefixes.images[image, step], prefixes.explained[image, step]),
        orbit,
        model.stage.cameras(orbit),
    )
    posterior = model.with_certain(posterior, step)
    there = scenes.asset[image, step] >= 0
    said = _said(
        posterior, scenes, image, _allowed(scenes, model.stage, image, step, tie_m), model.stage, defence
    )
    nothing = torch.zeros_like(log_camera)
    return LogPosterior(
        log_camera,
        nothing.index_add(0, image, posterior.log_presence(there)),
        nothing.index_add(0, image, torch.where(there, said, 0.0)),
    )


def _allowed(scenes: StagedScenes, stage: Stage, image: Tensor, step: Tensor, tie_m: float) -> Tensor:
    """Which objects each step may name, at least the one it is given: (P, N) bool."""
    slots = torch.arange(scenes.asset.shape[1], device=step.device)
    given = slots == step[:, None]
    if tie_m == 0:
        return given
    left = (slots >= step[:, None]) & (scenes.asset[image] >= 0)
    depth = depths(scenes, stage)[image].masked_fill(~left, torch.inf)
    return given | (left & (depth <= depth.amin(-1, keepdim=True) + tie_m))


def _said(
    posterior: ObjectPosterior,
    scenes: StagedScenes,
    image: Tensor,
    allowed: Tensor,
    stage: Stage,
    defence: Defence,
) -> Tensor:
    """Log of the mean density over the objects that are allowed: (P,), nats."""
    each = [
        posterior.log_prob(
            scenes.asset[image, slot].clamp(min=0),
            scenes.position[image, slot],
            scenes.turn[image, slot],
            stage,
            defence,
        )
        for slot in range(allowed.shape[1])
    ]
    together = torch.stack(each, dim=-1).masked_fill(~allowed, -torch.inf)
    return together.logsumexp(-1) - allowed.sum(-1).log()


def _steps_taken(scenes: StagedScenes, most: int) -> tuple[Tensor, Tensor]:
    """Which image and which step: one for each object, and one that finds no more, if a step is left."""
    taken = torch.arange(most, device=scenes.asset.device) <= scenes.counts[:, None]
    image, step = torch.nonzero(taken, as_tuple=True)
    return image, step
