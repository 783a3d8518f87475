"""How values are taken from posteriors: drawn, or at their centre."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor


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


class AtMeans:
    """Takes the centre: what `infer` reports."""

    def __call__(self, posterior: Posterior) -> Tensor:
        """The centre."""
        return posterior.centre()


class Bounded(Posterior, Protocol):
    """A posterior over a bounded space, on which there is a uniform distribution."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of `value`: (B,), nats."""

    def anywhere(self, generator: torch.Generator) -> Tensor:
        """Draw from the uniform distribution."""

    def log_uniform(self) -> Tensor:
        """Its log density, nats."""


class Defensive:
    """Draws from the posterior, or with probability `share` from anywhere: a proposal that misses nothing.

    Each value of each row is drawn from anywhere or not by itself.
    Source: Hesterberg 1995, "Weighted average importance sampling and defensive mixture distributions".
    """

    def __init__(self, generator: torch.Generator, share: float) -> None:
        self.generator = generator
        self.share = share

    def __call__(self, posterior: Any) -> Tensor:
        """Draw one value (B, …) of a `Bounded` posterior."""
        drawn = posterior.sample(self.generator)
        if self.share == 0:
            return drawn
        u = torch.rand(len(drawn), generator=self.generator, device=drawn.device)
        elsewhere = (u < self.share).reshape(-1, *[1] * (drawn.dim() - 1))
        return torch.where(elsewhere, posterior.anywhere(self.generator), drawn)


def log_defended(posterior: Bounded, value: Tensor, share: float) -> Tensor:
    """Log density with which `Defensive` draws `value`: (B,), nats."""
    log_prob = posterior.log_prob(value)
    if share == 0:
        return log_prob
    return torch.logaddexp(log_prob + math.log1p(-share), posterior.log_uniform() + math.log(share))
