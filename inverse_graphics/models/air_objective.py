"""The training loss of AIR: the negative bound, with a warm-up and an annealed prior."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.models.estimators.exact import Estimator


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


def _ramp(step: int, steps: int) -> float:
    return 1.0 if step >= steps else step / steps


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

        images: (B, C, H, W) in [0, 1].  step: of training.  generator: for samples.
        """
        log_odds, warm_up_fraction = self.schedule.log_odds(step), self.schedule.warm_up_fraction(step)
        prior = truncated_geometric(log_odds, self.max_objects).to(images)
        estimate = self.estimator(images, prior, warm_up_fraction, generator)
        logged = {name: part.mean() for name, part in estimate.bound._asdict().items()}
        return -estimate.objective.mean(), {**logged, "trust": warm_up_fraction, "count_log_odds": log_odds}
