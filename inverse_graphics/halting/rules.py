"""Halting rules: how a step's halting logit splits the alive weight.

The rules differ in z, the fraction of the alive weight that halts: the halting probability itself
(`Enumerated`), a Bernoulli sample of it (`Discrete`), whether it exceeds one half (`Thresholded`), a Concrete
relaxation of the sample (`Relaxed`), or the probability divided by the remaining weight (`Accumulated`, ACT).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from inverse_graphics.distributions.draws import draw_uniform


class Split(NamedTuple):
    """The two parts of the alive weight, as log-weights of one shape; −inf is none.

    Attributes:
        log_halt: the part that halts.
        log_keep: the part that continues.
    """

    log_halt: Tensor
    log_keep: Tensor


class Halting(Protocol):
    """Splits the alive weight by a halting logit."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Split `log_alive` (...) by `halt_logit` (...); σ(halt_logit) is the halting probability."""


@dataclass(frozen=True)
class Enumerated:
    """All outcomes, with their exact probabilities; differentiable."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt with weight σ(h), continue with 1 − σ(h)."""
        del generator
        return Split(log_alive + logsigmoid(halt_logit), log_alive + logsigmoid(-halt_logit))


@dataclass(frozen=True)
class Discrete:
    """One sampled outcome; carries no gradient."""

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Halt where a Bernoulli variable with probability σ(h) is 1."""
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
    """One relaxed sample: z = σ((h + logistic noise) / temperature); differentiable.

    Attributes:
        temperature: > 0; in the limit 0 the rule is `Discrete`.
        floor: a weight below it halts instead of continuing, so that the loop may end; this changes the
            weight of an outcome by at most `floor`. Source: Maddison, Mnih and Teh 2017, "The Concrete
            distribution", binary case.
    """

    temperature: float = 1.0
    floor: float = 1e-3

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None) -> Split:
        """Halt with weight z, continue with 1 − z."""
        u = _uniform(halt_logit, generator).clamp_(_TINY, 1 - _TINY)
        logit = (halt_logit + torch.logit(u)) / self.temperature
        log_halt, log_keep = log_alive + logsigmoid(logit), log_alive + logsigmoid(-logit)
        return _finish_where(
            log_keep < (math.log(self.floor) if self.floor > 0 else -math.inf), log_halt, log_keep, log_alive
        )


@dataclass(frozen=True)
class Accumulated:
    """Adaptive computation time: step l has weight h_l = σ(halt_logit), until the sum reaches 1 − ε.

    The step at which it does has the remainder as its weight, 1 − Σ h of the steps before it, which carries
    their gradient and none of its own logit. Differentiable, mean-field, without noise.

    Attributes:
        epsilon: ε, in (0, 1). Source: Graves 2016, "Adaptive Computation Time for Recurrent Neural Networks",
            equations 6 to 8.
    """

    epsilon: float = 0.01

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt with weight σ(h), or with the whole alive weight where it is at most σ(h) + ε."""
        del generator
        left = log_alive.exp() - torch.sigmoid(halt_logit)
        halts = left <= self.epsilon
        # clamped before the logarithm: the branch that is not selected must not give a gradient of 0 · ∞
        log_keep = left.clamp_min(self.epsilon).log()
        return _finish_where(halts, logsigmoid(halt_logit), log_keep, log_alive)


_TINY = 1e-7
"""Uniform samples are clamped to this distance from 0 and 1, where their logits are infinite."""


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand_like(like) if generator is None else draw_uniform(like.shape, generator, like)


def split_where(halts: Tensor, log_alive: Tensor) -> Split:
    """Halt the whole alive weight where `halts` is true, and continue with it elsewhere."""
    none = torch.full_like(log_alive, -torch.inf)
    return Split(torch.where(halts, log_alive, none), torch.where(halts, none, log_alive))


def _finish_where(last: Tensor, log_halt: Tensor, log_keep: Tensor, log_alive: Tensor) -> Split:
    """The given parts; where `last` is true, the whole alive weight halts."""
    return Split(torch.where(last, log_alive, log_halt), torch.where(last, -torch.inf, log_keep))
