"""The count enumerated: exact in the count, Monte Carlo in the latents.

What an estimator is given, and what it gives.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import AirModel, attend_infer_repeat
from inverse_graphics.models.elbo import Bound, exact_count_elbo, warmed_up_objective


class Estimate(NamedTuple):
    """What came of a batch.

    objective: (B,), to be made large: its gradient is the estimate.  bound: what is watched.
    """

    objective: Tensor
    bound: Bound


class Estimator(Protocol):
    """Estimates the gradient of a bound on log p(x)."""

    @property
    def helpers(self) -> nn.Module | None:
        """What is trained beside the model and is no part of it."""

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """One estimate.

        images: (B, C, H, W) in [0, 1].  log_count_prior: (N + 1,), log p(n), nats.  warm_up_fraction: in [0,
        1], how far the inferred count weights what objects learn; below 1, objects learn from every prefix
        alike to that extent, so that they become worth having before presence dies (`warmed_up_objective`).
        """


def mixed_weights(weights: Tensor, warm_up_fraction: float) -> Tensor:
    """What objects learn from: (1 − trust) · uniform + trust · weights, of N + 1 prefixes, held fixed."""
    return (1 - warm_up_fraction) / weights.shape[-1] + warm_up_fraction * weights.detach()


class ExactCount:
    """An `Estimator`: every count at once, each with its probability.  Unbiased.

    longest_prefix: objects learn from prefixes of no more than so many (`warmed_up_objective`); None for all.
    """

    helpers = None

    def __init__(self, model: AirModel, longest_prefix: int | None = None) -> None:
        self.model, self.longest_prefix = model, longest_prefix

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """One estimate."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        objective = warmed_up_objective(inference, log_count_prior, warm_up_fraction, self.longest_prefix)
        with torch.no_grad():
            bound = exact_count_elbo(inference, log_count_prior)
        return Estimate(objective, bound)
