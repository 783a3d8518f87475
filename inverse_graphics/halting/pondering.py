"""The halting loop: run a step, split the alive weight, repeat until none is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from inverse_graphics.halting.rules import Halting, Split

State = TypeVar("State")
Output = TypeVar("Output")


class Step(NamedTuple, Generic[State, Output]):
    """The result of one step: its halting logit (...), its output, and the next state."""

    halt_logit: Tensor
    output: Output
    state: State


class Pondering(NamedTuple, Generic[Output]):
    """The outputs of a process, and the weight with which it halted at each step.

    Attributes:
        outputs: one per step that was run.
        halt_logits: (...), one per step that was run.
        splits: weights (...), one per step that was run.
        steps: L, the largest possible number of steps.
    """

    outputs: list[Output]
    halt_logits: list[Tensor]
    splits: list[Split]
    steps: int

    @property
    def log_halt(self) -> Tensor:
        """Log-weights of the outcomes, which sum to one: (..., L + 1); −inf for steps that were not run."""
        rest = self.splits[-1].log_keep
        halted = torch.stack([*(split.log_halt for split in self.splits), rest], dim=-1)
        return self._padded(halted, self.steps + 1)

    @property
    def log_keep(self) -> Tensor:
        """Log of the weight that is alive after each step: (..., L)."""
        return self._padded(torch.stack([split.log_keep for split in self.splits], dim=-1), self.steps)

    def _padded(self, weights: Tensor, width: int) -> Tensor:
        missing = width - weights.shape[-1]
        if missing == 0:
            return weights
        return torch.cat([weights, weights.new_full((*weights.shape[:-1], missing), -torch.inf)], dim=-1)


Stepper = Callable[[State, int, Tensor | None], Step[State, Output]]
"""Maps (state, index, log_alive) to a `Step` whose logit has one shape (...) throughout.

log_alive: (...), log of the weight that is alive before the step; None before the first, where it is 1.
"""


def ponder(
    step: Stepper[State, Output],
    state: State,
    steps: int,
    halting: Halting,
    generator: torch.Generator | None = None,
    *,
    min_steps: int = 0,
) -> Pondering[Output]:
    """Run up to `steps` steps and split the alive weight after each; stop early once none is left anywhere.

    Args:
        step: one step; its logit (...) may be (B,), one process per row, or (B, H, W), one per pixel.
        state: before the first step.
        steps: L.
        halting: the rule that splits.
        generator: for rules that sample.
        min_steps: steps that are run in any case, for callers that need their logits.
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
        if index + 1 >= min_steps and not torch.isfinite(log_alive).any():
            break
    return Pondering(outputs, logits, splits, steps)
