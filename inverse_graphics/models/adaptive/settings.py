"""Settings of the objectives of adaptive computation: the method, and the cost of a step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.halting import Accumulated, Halting, Relaxed, Thresholded

TimePenalty = Annotated[float, Field(ge=0, le=100, description="τ, nats per step")]


class _Objective(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ActObjective(_Objective):
    """Adaptive computation time: the task's loss plus τ (N + R), without noise (Graves 2016)."""

    kind: Literal["act"] = "act"
    time_penalty: TimePenalty = 1e-3
    epsilon: float = Field(default=0.01, gt=0, lt=1)

    @property
    def evaluation_halting(self) -> Halting:
        """The rule of training."""
        return Accumulated(self.epsilon)


class RelaxedObjective(_Objective):
    """Probabilistic adaptive computation time by relaxed samples: the task's loss plus τ E[N].

    Evaluated with a threshold: the first step with a halting probability above one half is selected.
    Source: Figurnov et al. 2018.


    Attributes:
        temperature: of the Concrete distribution.
        floor: a weight below it halts.
    """

    kind: Literal["relaxed"] = "relaxed"
    time_penalty: TimePenalty = 1e-3
    temperature: float = Field(default=1.0, gt=0, le=100)
    floor: float = Field(default=0.01, ge=0, lt=1)

    @property
    def evaluation_halting(self) -> Halting:
        """The threshold: one state is selected."""
        return Thresholded()

    @property
    def training_halting(self) -> Halting:
        """Concrete samples."""
        return Relaxed(self.temperature, self.floor)


class ReinforceObjective(_Objective):
    """Probabilistic adaptive computation time by the score function, with a moving-average baseline.

    Attributes:
        baseline_decay: of that average, per training step. Source: Figurnov et al. 2018; Williams 1992.
    """

    kind: Literal["reinforce"] = "reinforce"
    time_penalty: TimePenalty = 1e-3
    baseline_decay: float = Field(default=0.99, ge=0, lt=1)

    @property
    def evaluation_halting(self) -> Halting:
        """The threshold: one state is selected."""
        return Thresholded()


class PlainObjective(_Objective):
    """The task's loss alone, for networks that take a fixed number of steps."""

    kind: Literal["plain"] = "plain"

    @property
    def evaluation_halting(self) -> Halting:
        """Any rule: the network uses none."""
        return Thresholded()


AdaptiveObjectiveSettings = Annotated[
    ActObjective | RelaxedObjective | ReinforceObjective | PlainObjective, Field(discriminator="kind")
]
