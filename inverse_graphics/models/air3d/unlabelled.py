"""The bound on unlabelled images: the paper's objective, and what gets it off the ground.

What varies smoothly (places, turns, the camera, presence) climbs the bound itself, through the renderer. What
does not (kinds, and which of several turns) saturates there: differences of hundreds of nats decide before
poses are right. It is learnt, as in wake-sleep's wake phase, from scenes drawn by their weight from many
tries; and so is everything else at first, for tries find what gradients cannot. No dream is ever shown.

After the warm-up the objective is the bound, but its gradient, exact in the count, is not the bound's in all:
- Kinds, and the weights of a turn's components, are drawn. The bound teaches kinds nothing unless every kind
  is tried (`identity`), and such weights nothing but noise of mean zero; the wake update teaches them.
- Images that are explained badly may be tempered (`leeway_nats`): each still climbs its own bound, but
  no faster the farther below it is.
- What later steps see in the canvas is held fixed, the empty table before a free camera included.
- So are where a glimpse is taken, and what the place's features tell the kind and the turn.
- Where a component of a rotation lies learns no faster the surer it is (`posterior._slowed`).
- A number held at a bound has the slope that it would have beside it (`held_between`).
During the warm-up kinds are drawn from anywhere too, so that `elbo` as watched lies below the bound.
Source: Eslami et al. 2016, section 2; Bornschein & Bengio 2015; Le et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import Defence
from inverse_graphics.models.air3d.bound import BoundAscent
from inverse_graphics.models.air3d.elbo_settings import ElboSettings
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.memory import Memory
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.search import Search, searched
from inverse_graphics.models.air3d.staged import StagedScenes, draw_from_prior, draw_shown, nearest_first


class ElboObjective:
    """Minus the bound, warmed up, and the wake update beside it."""

    def __init__(self, model: Air3D, settings: ElboSettings) -> None:
        self.model = model
        self.settings = settings
        self.ascent = BoundAscent(model, settings)
        model.canvas_gradient = False
        self.memory = Memory(model, settings.memory) if settings.remembered else None

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """Images (B, 3, H, W) of scenes that nothing is told of."""
        model = self.model
        _, images = draw_from_prior(model.stage, model.engine, size, generator)
        return images + model.settings.sigma * torch.randn(images.shape, generator=generator)

    def loss(
        self, batch: Tensor, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar to make small, and its parts, nats."""
        settings = self.settings
        trust, temperature = settings.progress(step), settings.temperature(step)
        loss = batch.new_zeros(())
        watched: dict[str, Tensor | float] = {"temperature": temperature}
        if settings.bound_in_warm_up or trust == 1:
            loss, bounds = self.ascent(batch, trust, temperature, generator)
            watched |= bounds
        if settings.wake > 0:
            wake = self._wake(batch, step, generator)
            loss = loss + settings.wake * wake
            watched |= {"wake": -wake.detach()}
        return loss, watched

    def _wake(self, images: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """Minus the mean log-density of scenes that were searched for these images, and for earlier ones."""
        settings, stage = self.settings, self.model.stage
        defence = Defence(settings.kinds_tried(step), settings.defence * (1 - settings.progress(step)))
        search = Search(
            settings.samples,
            settings.kept,
            settings.refine_steps,
            defence=defence,
            turned=settings.turn_steps,
        )
        scenes = searched(self.model, images, search, settings.temperature(step), generator)
        scenes = nearest_first(scenes, stage)
        if self.memory is not None:
            self.memory.remember(images, scenes)
            again, known = self.memory.recall(settings.remembered * len(images), generator)
            images = torch.cat([images, again])
            scenes = StagedScenes(*(torch.cat(pair) for pair in zip(scenes, known, strict=True)))
        with torch.no_grad():
            prefixes = draw_shown(scenes, stage, self.model.engine)
        robust = Defence(rest=settings.robust)
        said = log_posterior(self.model, images, scenes, prefixes, tie_m=self.settings.tie_m, defence=robust)
        return -said.total.mean()
