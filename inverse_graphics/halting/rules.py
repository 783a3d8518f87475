"""Halting rules: how a step's halting logit splits what is alive.

The rules differ in z, the share of what is alive that halts: the halting probability itself (`Enumerated`),
a Bernoulli draw from it (`Discrete`), whether it exceeds one half (`Thresholded`), a Concrete relaxation of
the draw (`Relaxed`), or the probability as a share of what is left of the stick (`Accumulated`, ACT).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class Split(NamedTuple):
    """What is alive, in two parts.  log_halt, log_keep: log-weights of one shape; −inf is none."""

    log_halt: Tensor
    log_keep: Tensor


class Halting(Protocol):
    """Splits what is alive by a halting logit."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Split `log_alive` (...) by `halt_logit` (...); σ(halt_logit) is the halting probability."""


@dataclass(frozen=True)
class Enumerated:
    """Every outcome at once, with its exact probability; differentiable."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt with weight σ(h), keep with 1 − σ(h)."""
        del generator
        return Split(log_alive + logsigmoid(halt_logit), log_alive + logsigmoid(-halt_logit))


@dataclass(frozen=True)
class Discrete:
    """One outcome, drawn; carries no gradient."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Halt where a Bernoulli draw with probability σ(h) says so."""
        return split_where(_uniform(halt_logit, generator) < torch.sigmoid(halt_logit), log_alive)


@dataclass(frozen=True)
class Thresholded:
    """One outcome, the first whose halting probability exceeds one half; carries no gradient."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt where σ(h) > ½."""
        del generator
        return split_where(halt_logit > 0, log_alive)


@dataclass(frozen=True)
class Relaxed:
    """One outcome, drawn softly: z = σ((h + logistic noise) / temperature); differentiable.

    At temperature 0 it is `Discrete`. What would be kept with less than `floor` halts instead, so that the
    loop may end; that moves no more than `floor` of an outcome.
    Source: Maddison, Mnih and Teh 2017, "The Concrete distribution", binary case.
    """

    temperature: float = 1.0
    floor: float = 1e-3

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Halt with weight z, keep with 1 − z."""
        u = _uniform(halt_logit, generator).clamp_(_TINY, 1 - _TINY)
        logit = (halt_logit + torch.logit(u)) / self.temperature
        log_halt, log_keep = log_alive + logsigmoid(logit), log_alive + logsigmoid(-logit)
        return _finish_where(
            log_keep < (math.log(self.floor) if self.floor > 0 else -math.inf), log_halt, log_keep, log_alive
        )


@dataclass(frozen=True)
class Accumulated:
    """Adaptive computation time: step l weighs h_l = σ(halt_logit), until these add up to 1 − ε.

    The step at which they do weighs the remainder, 1 − Σ h of the steps before it, which carries their
    gradient and none of its own logit.  Differentiable, mean-field, without noise.
    Source: Graves 2016, "Adaptive Computation Time for Recurrent Neural Networks", equations 6 to 8.
    """

    epsilon: float = 0.01

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt with weight σ(h), or with all that is alive where it is no more than σ(h) + ε."""
        del generator
        left = log_alive.exp() - torch.sigmoid(halt_logit)
        halts = left <= self.epsilon
        # clamped before the logarithm: the branch that is not chosen must not make a gradient of 0 · ∞
        log_keep = left.clamp_min(self.epsilon).log()
        return _finish_where(halts, logsigmoid(halt_logit), log_keep, log_alive)


_TINY = 1e-7
"""Uniform draws keep away from 0 and 1 by as much, where their logits are infinite."""


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def split_where(halts: Tensor, log_alive: Tensor) -> Split:
    """All that is alive halts where `halts` says so, and is kept elsewhere."""
    nothing = torch.full_like(log_alive, -torch.inf)
    return Split(torch.where(halts, log_alive, nothing), torch.where(halts, nothing, log_alive))


def _finish_where(last: Tensor, log_halt: Tensor, log_keep: Tensor, log_alive: Tensor) -> Split:
    """The given parts, but where `last` all halts."""
    return Split(torch.where(last, log_alive, log_halt), torch.where(last, -torch.inf, log_keep))
