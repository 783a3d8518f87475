"""Estimators of the gradient of AIR's bound: their interface, their settings and registry, and the objective.

An estimator is registered by its settings:

    @ESTIMATORS.register("mine")
    class MySettings(EstimatorSettings):
        kind: Literal["mine"]

        def estimator(self, model: Air2D) -> Estimator:
            return Mine(model)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.io.registry import Registry
from inverse_graphics.models.elbo import Bound

if TYPE_CHECKING:
    from inverse_graphics.models.air2d.network import Air2D


class Estimate(NamedTuple):
    """An estimate for a batch.

    Attributes:
        objective: (B,), to be maximised: its gradient is the estimate.
        bound: values to log.
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

        Args:
            images: (B, C, H, W) in [0, 1].
            log_count_prior: (N + 1,), log p(n), nats.
            warm_up_fraction: in [0, 1], weight of the inferred count in the training of objects; the rest is
                uniform over prefixes, so that objects become useful before presence goes to zero
                (`warmed_up_objective`).
            generator: for samples.
        """


class AirSchedule(BaseModel):
    """The schedule from the surrogate to the bound.

    During the first `warm_up_steps` objects are trained on all prefixes, with weights that change linearly
    from uniform to the inferred count's. During `annealing_steps` the prior log-odds of one more object
    change linearly from 0 (a uniform prior) to `count_log_odds`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    warm_up_steps: int = Field(2500, ge=0)
    annealing_steps: int = Field(4000, ge=0)
    count_log_odds: float = Field(-11.5, ge=-1000, le=1000, description="nats")

    def warm_up_fraction(self, step: int) -> float:
        """The weight of the inferred count in the training of objects after `step` steps, in [0, 1]."""
        return _ramp(step, self.warm_up_steps)

    def log_odds(self, step: int) -> float:
        """The count prior's log-odds after `step` steps, nats."""
        return self.count_log_odds * _ramp(step, self.annealing_steps)


class EstimatorSettings(AirSchedule, ABC):
    """Settings of an estimator of the 2D model, with the schedule that it follows."""

    kind: str

    @abstractmethod
    def estimator(self, model: Air2D) -> Estimator:
        """Make the estimator; weights of auxiliary modules are drawn from torch's global generator."""

    @property
    def helpers_rate(self) -> float:
        """Learning rate of auxiliary modules, such as a baseline, as a multiple of the model's."""
        return 1.0


ESTIMATORS: Registry[type[EstimatorSettings]] = Registry(
    "estimator",
    "inverse_graphics.models.estimators.exact",
    "inverse_graphics.models.estimators.score_function",
    "inverse_graphics.models.estimators.concrete",
    "inverse_graphics.models.estimators.multi_sample",
)
"""Settings of estimators by the names that recipes give them as `objective.kind`."""


class AirObjective:
    """The loss of an AIR model at each step of its schedule."""

    def __init__(self, estimator: Estimator, schedule: AirSchedule, max_objects: int) -> None:
        self.estimator = estimator
        self.schedule = schedule
        self.max_objects = max_objects

    def loss(
        self, images: Tensor, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the scalar to minimise, and values to log.

        Args:
            images: (B, C, H, W) in [0, 1].
            step: of training.
            generator: for samples.
        """
        log_odds, warm_up_fraction = self.schedule.log_odds(step), self.schedule.warm_up_fraction(step)
        prior = truncated_geometric(log_odds, self.max_objects).to(images)
        estimate = self.estimator(images, prior, warm_up_fraction, generator)
        logged = {name: part.mean() for name, part in estimate.bound._asdict().items()}
        return -estimate.objective.mean(), {**logged, "trust": warm_up_fraction, "count_log_odds": log_odds}


def mixed_weights(weights: Tensor, warm_up_fraction: float) -> Tensor:
    """Weights of N + 1 prefixes in the training of objects, without gradient: (..., N + 1).

    Args:
        weights: (..., N + 1).
        warm_up_fraction: f of (1 − f) · uniform + f · weights, in [0, 1].
    """
    return (1 - warm_up_fraction) / weights.shape[-1] + warm_up_fraction * weights.detach()


def _ramp(step: int, steps: int) -> float:
    return 1.0 if step >= steps else step / steps
