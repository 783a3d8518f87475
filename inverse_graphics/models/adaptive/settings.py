"""What a network that thinks learns from: its task, and how much a step of output costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.halting import Accumulated, Halting, Relaxed, Thresholded

TimePenalty = Annotated[float, Field(ge=0, le=100, description="τ, nats for each step of output")]


class ActObjective(BaseModel):
    """Adaptive computation time: the task's loss and τ (N + R), without noise (Graves 2016)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["act"] = "act"
    time_penalty: TimePenalty = 1e-3
    epsilon: float = Field(default=0.01, gt=0, lt=1)

    @property
    def evaluation_halting(self) -> Halting:
        """As it is trained."""
        return Accumulated(self.epsilon)


class RelaxedObjective(BaseModel):
    """Probabilistic adaptive computation time by relaxed draws: the task's loss and τ E[N].

    judged by the threshold: a step at which halting is more probable than not.
    temperature: of the Concrete distribution.  floor: what is kept with less weight halts.
    Source: Figurnov et al. 2018.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        """Concrete draws."""
        return Relaxed(self.temperature, self.floor)


class ReinforceObjective(BaseModel):
    """Probabilistic adaptive computation time by the score function, with a moving-average baseline.

    baseline_decay: of that average, for each step of training.
    Source: Figurnov et al. 2018; Williams 1992.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["reinforce"] = "reinforce"
    time_penalty: TimePenalty = 1e-3
    baseline_decay: float = Field(default=0.99, ge=0, lt=1)

    @property
    def evaluation_halting(self) -> Halting:
        """The threshold: one state is selected."""
        return Thresholded()


class PlainObjective(BaseModel):
    """The task's loss alone, for networks that take a fixed number of steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["plain"] = "plain"

    @property
    def evaluation_halting(self) -> Halting:
        """Any rule: the network asks none."""
        return Thresholded()


AdaptiveObjectiveSettings = Annotated[
    ActObjective | RelaxedObjective | ReinforceObjective | PlainObjective, Field(discriminator="kind")
]
