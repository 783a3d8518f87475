"""Relaxed presence: objects are partially present, so that gradients flow through the reconstruction.

The reconstruction is the mean of the prefixes' reconstructions with relaxed weights. The estimator is biased:
it is the gradient of another objective, which approaches the bound as the temperature decreases, while its
variance grows.
Source: Maddison, Mnih and Teh 2017, "The Concrete distribution"; Jang, Gu and Poole 2017,
"Categorical Reparameterization with Gumbel-Softmax".
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

FLOOR = 1e-30
"""Floor of relaxed weights, so small that no presence is ever truncated."""


class RenderingModel(AirModel, Protocol):
    """A model that renders prefixes, which one likelihood compares with the image."""

    @property
    def observation_model(self) -> Likelihood:
        """The likelihood of an image, given its reconstruction."""

    def prefixes(self, objects: list[ObjectStep]) -> list[Tensor]:
        """Render the first 0 … N objects: N + 1 tensors (B, C, H, W)."""


@ESTIMATORS.register("concrete")
class ConcreteSettings(EstimatorSettings):
    """Relaxed presence.

    Attributes:
        temperature: of the relaxation.
    """

    kind: Literal["concrete"]
    temperature: float = Field(0.5, gt=0, le=100)

    def estimator(self, model: Air2D) -> Estimator:
        """Make the estimator."""
        return Concrete(model, self.temperature)


class Concrete:
    """An `Estimator`: relaxed presences.

    Args:
        model: the model.
        temperature: > 0; in the limit 0 presences are discrete samples.
    """

    helpers = None

    def __init__(self, model: RenderingModel, temperature: float) -> None:
        self.model = model
        self.rule = Relaxed(temperature, floor=FLOOR)

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Compute one estimate."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        weights = self._relaxed(inference, generator)
        prefixes = torch.stack(self.model.prefixes(inference.objects), dim=1)
        relaxed_bound = self._relaxed_bound(images, weights.detach(), prefixes, inference.kl)
        objects = warm_up_fraction * (relaxed_bound - inference.kl_shared)
        objects = objects + (1 - warm_up_fraction) * prefix_bounds(inference).mean(-1)
        presence = self._relaxed_bound(images, weights, prefixes.detach(), inference.kl.detach())
        count = inference.log_count.exp()
        kl_count = (count * (inference.log_count - log_count_prior)).sum(-1)
        with torch.no_grad():
            bound = exact_count_elbo(inference, log_count_prior)
        return Estimate(objects + presence - kl_count, bound)

    def _relaxed(self, inference: Inference, generator: torch.Generator) -> Tensor:
        """A relaxed sample of the weights of the counts: (B, N + 1), which sum to one."""
        logits = inference.log_count[:, :-1] - inference.log_present
        alive, halted = torch.zeros_like(logits[:, 0]), []
        for halt_logit in logits.unbind(-1):
            split = self.rule.split(halt_logit, alive, generator)
            halted.append(split.log_halt)
            alive = split.log_keep
        return torch.stack([*halted, alive], dim=-1).exp()

    def _relaxed_bound(self, images: Tensor, weights: Tensor, prefixes: Tensor, kl: Tensor) -> Tensor:
        """log p(x | mean reconstruction) − Σ weight of object i · KL_i: (B,), nats."""
        mean = (weights[..., None, None, None] * prefixes).sum(1)
        present = 1 - weights.cumsum(-1)[:, :-1]
        log_likelihood = self.model.observation_model.log_prob(Observation(images), Rendered(mean))
        return log_likelihood - (present * kl).sum(-1)
