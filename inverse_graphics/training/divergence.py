"""Says when a run diverges: its recent gradients or losses are far beyond those that it had before."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

from pydantic import BaseModel, ConfigDict

from inverse_graphics.training.optimiser import OptimiserSettings

RECENT = 20
"""Steps whose median is compared."""
REFERENCE = 200
"""Steps before these, with which it is compared,"""
MIN_REFERENCE = 50
"""at least so many."""
NORM_FACTOR = 10.0
"""A run diverges when the median norm of its gradient is larger by this factor,"""
LOSS_SPREADS = 5.0
"""or when its median loss is greater by so many interquartile ranges. A loss may be of any sign: no ratio."""


class DivergenceMonitor(BaseModel):
    """The latest losses and gradient norms of a run; part of its counters, so that resuming changes nothing.

    Steps of a run that diverges do not become what later ones are compared with.

    Attributes:
        losses: of the reference, then of the recent steps.
        norms: the gradient's, likewise.
        since: the step at which the run began to diverge, None unless it does.
    """

    model_config = ConfigDict(extra="forbid")

    losses: list[float] = []
    norms: list[float] = []
    since: int | None = None

    def observe(self, step: int, loss: float, norm: float, settings: OptimiserSettings) -> str | None:
        """Take the figures of a step; returns what there is to say, if anything.

        Args:
            step: number of steps done.
            loss: of this one, finite.
            norm: of its gradient before clipping, finite.
            settings: of the optimiser, for the advice.
        """
        for values, value in ((self.losses, loss), (self.norms, norm)):
            values.append(value)
            if self.since is None:
                del values[: -REFERENCE - RECENT]
            else:
                del values[-RECENT - 1]
        if len(self.losses) < MIN_REFERENCE + RECENT:
            return None
        complaint = self._complaint()
        if complaint is not None and self.since is None:
            self.since = max(step - RECENT, 0)
            return f"step {step:,}: this run diverges: {complaint}; {_advice(self.since, settings)}"
        if complaint is None and self.since is not None:
            since, self.since = self.since, None
            return f"step {step:,}: losses and gradients are again as before step {since:,}"
        return None

    def _complaint(self) -> str | None:
        """How far the recent steps are beyond those before; None if they are not."""
        before, now = _split(self.norms)
        usual, recent = median(before), median(now)
        if recent > NORM_FACTOR * usual:
            return (
                f"the median norm of the gradient is {recent:,.4g} over the last {RECENT} steps, "
                f"{usual:,.4g} over the {len(before)} before"
            )
        before, now = _split(self.losses)
        low, usual, high = quantiles(before, n=4)
        recent = median(now)
        if recent > usual + LOSS_SPREADS * (high - low):
            return (
                f"the median loss is {recent:,.4g} over the last {RECENT} steps, {usual:,.4g} over the "
                f"{len(before)} before, half of which are within {low:,.4g} and {high:,.4g}"
            )
        return None


def _split(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    return values[:-RECENT], values[-RECENT:]


def _advice(since: int, settings: OptimiserSettings) -> str:
    clip = "none" if settings.gradient_clip is None else f"{settings.gradient_clip:g}"
    return (
        f"stop it, and start again with a smaller optimiser.learning_rate (now {settings.learning_rate:g}) "
        f"or optimiser.gradient_clip (now {clip}); a checkpoint before step {since:,} is still sound"
    )
