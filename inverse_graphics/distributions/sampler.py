"""How values are taken from posteriors: drawn, or at their centre."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from inverse_graphics.distributions.discrete import Categorical


class Posterior(Protocol):
    """A distribution that can be sampled and that has a centre."""

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one value, reparameterised where that is possible."""

    def centre(self) -> Tensor:
        """The one value that stands for all: mean, mode or most probable choice."""


class Sampler(Protocol):
    """How a value is taken from a posterior."""

    def __call__(self, posterior: Posterior) -> Tensor:
        """Take one value."""


class Reparameterised:
    """Draws with a given generator, so that gradients reach the posterior's parameters."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, posterior: Posterior) -> Tensor:
        """Draw one value."""
        return posterior.sample(self.generator)


class PointEstimate:
    """Takes the centre: what `infer` reports."""

    def __call__(self, posterior: Posterior) -> Tensor:
        """The centre."""
        return posterior.centre()


class Bounded(Posterior, Protocol):
    """A posterior over a bounded space, on which there is a uniform distribution."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of `value`: (B,), nats."""

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Draw from the uniform distribution."""

    def log_uniform(self) -> Tensor:
        """Its log density, nats."""


class DefensiveMixture(NamedTuple):
    """With which probability a value is drawn from anywhere.  kinds: choices.  rest: all that is not one."""

    kinds: float = 0.0
    rest: float = 0.0

    def share(self, posterior: Bounded) -> float:
        """That of a value of this posterior."""
        return self.kinds if isinstance(posterior, Categorical) else self.rest


NO_MIXTURE = DefensiveMixture()


class DefensiveSampler:
    """Draws from the posterior, or by chance from anywhere: a proposal that misses nothing.

    Each value of each row is drawn from anywhere or not by itself.
    Source: Hesterberg 1995, "Weighted average importance sampling and defensive mixture distributions".
    """

    def __init__(self, generator: torch.Generator, defence: DefensiveMixture) -> None:
        self.generator = generator
        self.defence = defence

    def __call__(self, posterior: Any) -> Tensor:
        """Draw one value (B, …) of a `Bounded` posterior."""
        drawn: Tensor = posterior.sample(self.generator)
        share = self.defence.share(posterior)
        if share == 0:
            return drawn
        u = torch.rand(len(drawn), generator=self.generator, device=drawn.device)
        elsewhere = (u < share).reshape(-1, *[1] * (drawn.dim() - 1))
        return torch.where(elsewhere, posterior.sample_uniform(self.generator), drawn)


def log_prob_mixture(posterior: Bounded, value: Tensor, defence: DefensiveMixture) -> Tensor:
    """Log density with which `DefensiveSampler` draws `value`: (B,), nats."""
    log_prob, share = posterior.log_prob(value), defence.share(posterior)
    if share == 0:
        return log_prob
    if share == 1:
        return posterior.log_uniform().expand_as(log_prob)
    return torch.logaddexp(log_prob + math.log1p(-share), posterior.log_uniform() + math.log(share))
