"""The estimator that enumerates the count: Monte Carlo only in the latents."""

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
    """The enumerated count: unbiased, without sampling noise of the count.

    Attributes:
        longest_prefix: objects are trained on prefixes of at most this many objects, themselves included;
            presence is trained on all steps. Null for as many as there are steps.
    """

    kind: Literal["exact"] = "exact"
    longest_prefix: int | None = Field(None, ge=1, le=16)

    def estimator(self, model: Air2D) -> Estimator:
        """Make the estimator."""
        return ExactCount(model, self.longest_prefix)


class ExactCount:
    """An `Estimator`: all counts, each with its probability.  Unbiased.

    Args:
        model: the model.
        longest_prefix: objects are trained on prefixes of at most this many objects (`warmed_up_objective`);
            None for all.
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
