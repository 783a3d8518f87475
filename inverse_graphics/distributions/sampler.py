"""Samplers: take a value from a posterior, by a random sample or as its centre."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from inverse_graphics.distributions.discrete import Categorical
from inverse_graphics.distributions.draws import draw_uniform


class Posterior(Protocol):
    """A distribution that can be sampled and that has a centre."""

    def sample(self, generator: torch.Generator) -> Tensor:
        """Sample one value, reparameterised where that is possible."""

    def centre(self) -> Tensor:
        """A point estimate: mean, mode or most probable value."""


class Sampler(Protocol):
    """Takes a value from a posterior."""

    def __call__(self, posterior: Posterior) -> Tensor:
        """Take one value."""


class Reparameterised:
    """Samples with a given generator; gradients reach the posterior's parameters."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, posterior: Posterior) -> Tensor:
        """Sample one value."""
        return posterior.sample(self.generator)


class PointEstimate:
    """Takes the centre (mean, mode or most probable value), which `infer` reports."""

    def __call__(self, posterior: Posterior) -> Tensor:
        """The centre."""
        return posterior.centre()


class Bounded(Posterior, Protocol):
    """A posterior over a bounded space, on which there is a uniform distribution."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of `value`: (B,), nats."""

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Sample from the uniform distribution."""

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution, nats."""


class DefensiveMixture(NamedTuple):
    """Weights of the uniform component of a proposal.

    Attributes:
        kinds: weight for categorical values, in [0, 1].
        rest: weight for all other values, in [0, 1].
    """

    kinds: float = 0.0
    rest: float = 0.0

    def share(self, posterior: Bounded) -> float:
        """The weight that applies to values of this posterior."""
        return self.kinds if isinstance(posterior, Categorical) else self.rest


NO_MIXTURE = DefensiveMixture()


class DefensiveSampler:
    """Samples from a mixture of the posterior and the uniform distribution, so that no value is excluded.

    Each value of each row chooses its component independently.
    Source: Hesterberg 1995, "Weighted average importance sampling and defensive mixture distributions".
    """

    def __init__(self, generator: torch.Generator, mixture: DefensiveMixture) -> None:
        self.generator = generator
        self.mixture = mixture

    def __call__(self, posterior: Any) -> Tensor:
        """Sample one value (B, …) of a `Bounded` posterior."""
        sample: Tensor = posterior.sample(self.generator)
        share = self.mixture.share(posterior)
        if share == 0:
            return sample
        u = draw_uniform(sample.shape[:1], self.generator, sample, torch.float32)
        from_uniform = (u < share).reshape(-1, *[1] * (sample.dim() - 1))
        return torch.where(from_uniform, posterior.sample_uniform(self.generator), sample)


def log_prob_mixture(posterior: Bounded, value: Tensor, mixture: DefensiveMixture) -> Tensor:
    """Log density of `value` under the mixture that `DefensiveSampler` samples: (B,), nats."""
    log_prob, share = posterior.log_prob(value), mixture.share(posterior)
    if share == 0:
        return log_prob
    if share == 1:
        return posterior.log_uniform().expand_as(log_prob)
    return torch.logaddexp(log_prob + math.log1p(-share), posterior.log_uniform() + math.log(share))
