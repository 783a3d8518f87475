"""When to stop: one stick, broken step by step, shared by AIR's presence, ACT and PACT.

Before each step a process is *alive* with some weight. The step names a halting logit h; a `Halting`
rule splits what is alive into the part that halts here and the part that is kept:

    halt_l = alive_l · z_l        keep_l = alive_l · (1 − z_l) = alive_{l+1}

What is kept after the last split halts there, so L logits make L + 1 outcomes whose weights sum to one.
Rules differ in z: the halting probability itself (`Enumerated`), a Bernoulli draw from it (`Discrete`),
or whether it exceeds one half (`Thresholded`).

AIR (Eslami et al. 2016) reads outcome n as "n objects": its presence probability is 1 − σ(h), its count
distribution is `halt`, and `keep_l` is the probability that object l exists. ACT and PACT *select* one
outcome instead: outcome l is the state after step l + 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

State = TypeVar("State")
Output = TypeVar("Output")


class Split(NamedTuple):
    """What is alive, in two parts.  log_halt, log_keep: log-weights of one shape; −inf is none."""

    log_halt: Tensor
    log_keep: Tensor


class Halting(Protocol):
    """Splits what is alive by a halting logit."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Split `log_alive` (...) by `halt_logit` (...); σ(halt_logit) is the halting probability."""


class Enumerated:
    """Every outcome at once, with its exact probability; differentiable."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt with weight σ(h), keep with 1 − σ(h)."""
        del generator
        return Split(log_alive + logsigmoid(halt_logit), log_alive + logsigmoid(-halt_logit))


class Discrete:
    """One outcome, drawn; carries no gradient."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Halt where a Bernoulli draw with probability σ(h) says so."""
        draw = torch.rand(
            halt_logit.shape, generator=generator, device=halt_logit.device, dtype=halt_logit.dtype
        )
        return _split_where(draw < torch.sigmoid(halt_logit), log_alive)


class Thresholded:
    """One outcome, the first whose halting probability exceeds one half; carries no gradient."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt where σ(h) > ½."""
        del generator
        return _split_where(halt_logit > 0, log_alive)


def _split_where(halts: Tensor, log_alive: Tensor) -> Split:
    nothing = torch.full_like(log_alive, -torch.inf)
    return Split(torch.where(halts, log_alive, nothing), torch.where(halts, nothing, log_alive))


class Step(NamedTuple, Generic[State, Output]):
    """What one step gives: its halting logit (...), what it emits, and the state it leaves."""

    halt_logit: Tensor
    output: Output
    state: State


class Pondering(NamedTuple, Generic[Output]):
    """What a process emitted, and with which weight it halted where.

    outputs: one per step that was run.  log_halt: (..., L + 1), the outcomes, summing to one.
    log_keep: (..., L), the weight that is still alive after each step.
    """

    outputs: list[Output]
    log_halt: Tensor
    log_keep: Tensor


def ponder(
    step: Callable[[State, int], Step[State, Output]],
    state: State,
    steps: int,
    halting: Halting,
    generator: torch.Generator | None = None,
) -> Pondering[Output]:
    """Run `steps` steps, breaking the stick after each; stop early once nothing is alive anywhere.

    step: maps (state, index) to a `Step` whose logit has one shape (...) throughout.
    """
    outputs: list[Output] = []
    splits: list[Split] = []
    log_alive: Any = None
    for index in range(steps):
        halt_logit, output, state = step(state, index)
        log_alive = torch.zeros_like(halt_logit) if log_alive is None else log_alive
        split = halting.split(halt_logit, log_alive, generator)
        outputs.append(output)
        splits.append(split)
        log_alive = split.log_keep
        if not torch.isfinite(log_alive).any():
            break
    return Pondering(outputs, *_pad(splits, steps))


def _pad(splits: list[Split], steps: int) -> tuple[Tensor, Tensor]:
    """Stack the splits to (..., steps + 1) and (..., steps); steps that were not run weigh nothing."""
    unrun = [torch.full_like(splits[0].log_keep, -torch.inf)] * (steps - len(splits))
    rest = unrun[-1] if unrun else splits[-1].log_keep
    log_halt = torch.stack([*(s.log_halt for s in splits), *unrun, rest], dim=-1)
    return log_halt, torch.stack([*(s.log_keep for s in splits), *unrun], dim=-1)
