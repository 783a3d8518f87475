"""The count enumerated: exact in the count, Monte Carlo in the latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import Tensor

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import AirModel, attend_infer_repeat
from inverse_graphics.models.elbo import exact_count_elbo, warmed_up_objective
from inverse_graphics.models.estimators.estimator import ESTIMATORS, Estimate, Estimator, EstimatorSettings

if TYPE_CHECKING:
    from inverse_graphics.models.air2d.network import Air2D


@ESTIMATORS.register("exact")
class ExactSettings(EstimatorSettings):
    """The count enumerated: unbiased, no noise of its own.

    longest_prefix: of the prefixes that the objects' objective is taken over, in objects; that of presence is
    taken over all. Null for as many as there are steps.
    """

    kind: Literal["exact"] = "exact"
    longest_prefix: int | None = Field(None, ge=1, le=16)

    def estimator(self, model: Air2D) -> Estimator:
        """Make the estimator."""
        return ExactCount(model, self.longest_prefix)


class ExactCount:
    """An `Estimator`: every count at once, each with its probability.  Unbiased.

    longest_prefix: in objects, in the objects' objective (`warmed_up_objective`); None for all.
    """

    helpers = None

    def __init__(self, model: AirModel, longest_prefix: int | None = None) -> None:
        self.model, self.longest_prefix = model, longest_prefix

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Estimate the gradient on a batch."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        objective = warmed_up_objective(inference, log_count_prior, warm_up_fraction, self.longest_prefix)
        with torch.no_grad():
            bound = exact_count_elbo(inference, log_count_prior)
        return Estimate(objective, bound)
