"""The estimator interface, and the estimator that enumerates the count: Monte Carlo only in the latents."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import AirModel, attend_infer_repeat
from inverse_graphics.models.elbo import Bound, exact_count_elbo, warmed_up_objective


class Estimate(NamedTuple):
    """An estimate for a batch.

    objective: (B,), to be maximised: its gradient is the estimate.  bound: values to log.
    """

    objective: Tensor
    bound: Bound


class Estimator(Protocol):
    """Estimates the gradient of a bound on log p(x)."""

    @property
    def helpers(self) -> nn.Module | None:
        """A module that is trained with the model but is not part of it, such as a baseline."""

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Compute one estimate.

        images: (B, C, H, W) in [0, 1].  log_count_prior: (N + 1,), log p(n), nats.  warm_up_fraction: in
        [0, 1], weight of the inferred count in the training of objects; the rest is uniform over prefixes, so
        that objects become useful before presence goes to zero (`warmed_up_objective`).  generator: for
        samples.
        """


def mixed_weights(weights: Tensor, warm_up_fraction: float) -> Tensor:
    """Weights of N + 1 prefixes in the training of objects, without gradient: (..., N + 1).

    weights: (..., N + 1).  warm_up_fraction: f of (1 − f) · uniform + f · weights, in [0, 1].
    """
    return (1 - warm_up_fraction) / weights.shape[-1] + warm_up_fraction * weights.detach()


class ExactCount:
    """An `Estimator`: all counts, each with its probability.  Unbiased.

    model: the model.  longest_prefix: objects are trained on prefixes of at most this many objects
    (`warmed_up_objective`); None for all.
    """

    helpers = None

    def __init__(self, model: AirModel, longest_prefix: int | None = None) -> None:
        self.model, self.longest_prefix = model, longest_prefix

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Compute one estimate."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        objective = warmed_up_objective(inference, log_count_prior, warm_up_fraction, self.longest_prefix)
        with torch.no_grad():
            bound = exact_count_elbo(inference, log_count_prior)
        return Estimate(objective, bound)
