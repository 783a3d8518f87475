"""Presence relaxed: objects that are there in part, so that gradients flow through the picture.

The picture is the mean of the prefixes' pictures with relaxed weights. Biased: it is the gradient of another
objective, which comes near the bound as the temperature falls, while its variance grows.
Source: Maddison, Mnih and Teh 2017, "The Concrete distribution"; Jang, Gu and Poole 2017, likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.halting import Relaxed
from inverse_graphics.models.air import AirModel, Inference, ObjectStep, attend_infer_repeat
from inverse_graphics.models.elbo import exact_count_elbo, prefix_bounds
from inverse_graphics.models.estimators.estimator import ESTIMATORS, Estimate, Estimator, EstimatorSettings
from inverse_graphics.observation.model import Likelihood
from inverse_graphics.observation.observation import Observation, Rendered

if TYPE_CHECKING:
    from inverse_graphics.models.air2d.network import Air2D


NOTHING = 1e-30
"""No presence is ever cut short."""


class DrawingModel(AirModel, Protocol):
    """A model whose prefixes are pictures that one likelihood compares with the image."""

    @property
    def observation_model(self) -> Likelihood:
        """How probable an image is, given its picture."""

    def prefixes(self, objects: list[ObjectStep]) -> list[Tensor]:
        """The pictures of the first 0 … N objects: N + 1 of (B, C, H, W)."""


@ESTIMATORS.register("concrete")
class ConcreteSettings(EstimatorSettings):
    """Presence relaxed.  temperature: of the relaxation."""

    kind: Literal["concrete"]
    temperature: float = Field(0.5, gt=0, le=100)

    def estimator(self, model: Air2D) -> Estimator:
        """Make the estimator."""
        return Concrete(model, self.temperature)


class Concrete:
    """An `Estimator`: relaxed presences.  temperature: above 0; the smaller, the nearer to a draw."""

    helpers = None

    def __init__(self, model: DrawingModel, temperature: float) -> None:
        self.model = model
        self.rule = Relaxed(temperature, floor=NOTHING)

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """One estimate."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        weights = self._relaxed(inference, generator)
        pictures = torch.stack(self.model.prefixes(inference.objects), dim=1)
        explained = self._explained(images, weights.detach(), pictures, inference.kl)
        objects = warm_up_fraction * (explained - inference.kl_shared)
        objects = objects + (1 - warm_up_fraction) * prefix_bounds(inference).mean(-1)
        presence = self._explained(images, weights, pictures.detach(), inference.kl.detach())
        count = inference.log_count.exp()
        kl_count = (count * (inference.log_count - log_count_prior)).sum(-1)
        with torch.no_grad():
            bound = exact_count_elbo(inference, log_count_prior)
        return Estimate(objects + presence - kl_count, bound)

    def _relaxed(self, inference: Inference, generator: torch.Generator) -> Tensor:
        """Weights of the counts, drawn softly: (B, N + 1), summing to one."""
        logits = inference.log_count[:, :-1] - inference.log_present
        alive, halted = torch.zeros_like(logits[:, 0]), []
        for halt_logit in logits.unbind(-1):
            split = self.rule.split(halt_logit, alive, generator)
            halted.append(split.log_halt)
            alive = split.log_keep
        return torch.stack([*halted, alive], dim=-1).exp()

    def _explained(self, images: Tensor, weights: Tensor, pictures: Tensor, kl: Tensor) -> Tensor:
        """log p(x | mean picture) − Σ weight of object i · KL_i: (B,), nats."""
        picture = (weights[..., None, None, None] * pictures).sum(1)
        present = 1 - weights.cumsum(-1)[:, :-1]
        explained = self.model.observation_model.log_prob(Observation(images), Rendered(picture))
        return explained - (present * kl).sum(-1)
