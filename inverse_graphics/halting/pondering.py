"""The loop: step, split what is alive, until nothing is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from inverse_graphics.halting.rules import Halting, Split

State = TypeVar("State")
Output = TypeVar("Output")


class Step(NamedTuple, Generic[State, Output]):
    """What one step gives: its halting logit (...), what it emits, and the state it leaves."""

    halt_logit: Tensor
    output: Output
    state: State


class Pondering(NamedTuple, Generic[Output]):
    """What a process emitted, and with which weight it halted where.

    outputs, halt_logits, splits: one per step that was run; logits and weights are (...).  steps: L, how many
    there could have been.
    """

    outputs: list[Output]
    halt_logits: list[Tensor]
    splits: list[Split]
    steps: int

    @property
    def log_halt(self) -> Tensor:
        """Log-weights of the outcomes, summing to one: (..., L + 1); steps not run weigh nothing."""
        rest = self.splits[-1].log_keep
        halted = torch.stack([*(split.log_halt for split in self.splits), rest], dim=-1)
        return self._padded(halted, self.steps + 1)

    @property
    def log_keep(self) -> Tensor:
        """Log of what is still alive after each step: (..., L)."""
        return self._padded(torch.stack([split.log_keep for split in self.splits], dim=-1), self.steps)

    def _padded(self, weights: Tensor, width: int) -> Tensor:
        missing = width - weights.shape[-1]
        if missing == 0:
            return weights
        return torch.cat([weights, weights.new_full((*weights.shape[:-1], missing), -torch.inf)], dim=-1)


Stepper = Callable[[State, int, Tensor | None], Step[State, Output]]
"""Maps (state, index, log_alive) to a `Step` whose logit has one shape (...) throughout.

log_alive: (...), what is alive before the step; None before the first, when all is.
"""


def ponder(
    step: Stepper[State, Output],
    state: State,
    steps: int,
    halting: Halting,
    generator: torch.Generator | None = None,
    *,
    least: int = 0,
) -> Pondering[Output]:
    """Run `steps` steps, breaking the stick after each; stop early once nothing is alive anywhere.

    (...) may be (B,), a stick for each row, or (B, H, W), a stick for each pixel.  least: steps that are run
    even so, for whoever needs their logits.
    """
    outputs: list[Output] = []
    logits: list[Tensor] = []
    splits: list[Split] = []
    log_alive: Tensor | None = None
    for index in range(steps):
        halt_logit, output, state = step(state, index, log_alive)
        log_alive = torch.zeros_like(halt_logit) if log_alive is None else log_alive
        split = halting.split(halt_logit, log_alive, generator)
        outputs.append(output)
        logits.append(halt_logit)
        splits.append(split)
        log_alive = split.log_keep
        if index + 1 >= least and not torch.isfinite(log_alive).any():
            break
    return Pondering(outputs, logits, splits, steps)
