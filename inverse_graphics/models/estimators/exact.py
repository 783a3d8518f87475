"""The count enumerated: exact in the count, Monte Carlo in the latents."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import AirModel, attend_infer_repeat
from inverse_graphics.models.elbo import exact_count_elbo, warmed_up_objective
from inverse_graphics.models.estimators.estimate import Estimate


class ExactCount:
    """An `Estimator`: every count at once, each with its probability.  Unbiased.

    longest_prefix: objects learn from prefixes of no more than so many (`warmed_up_objective`); None for all.
    """

    helpers = None

    def __init__(self, model: AirModel, longest_prefix: int | None = None) -> None:
        self.model, self.longest_prefix = model, longest_prefix

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, trust: float, generator: torch.Generator
    ) -> Estimate:
        """One estimate."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        objective = warmed_up_objective(inference, log_count_prior, trust, self.longest_prefix)
        with torch.no_grad():
            bound = exact_count_elbo(inference, log_count_prior)
        return Estimate(objective, bound)
