"""Gaussians with independent components, reparameterised."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """Independent normal components.  mean, std: (..., D), std > 0."""

    mean: Tensor
    std: Tensor

    def kl_to(self, prior: Gaussian) -> Tensor:
        """KL(self ‖ prior) summed over D: (...), nats, ≥ 0."""
        ratio = self.std / prior.std
        distance = (self.mean - prior.mean) / prior.std
        return (0.5 * (ratio.square() + distance.square() - 1) - ratio.log()).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of `value` (..., D), summed over D: (...), nats."""
        standard = (value - self.mean) / self.std
        return (-0.5 * standard.square() - self.std.log() - 0.5 * _LOG_TWO_PI).sum(-1)


_LOG_TWO_PI = 1.8378770664093453


class Sampler(Protocol):
    """How a value is taken from a posterior: drawn, or its mean."""

    def __call__(self, posterior: Gaussian) -> Tensor:
        """Take one value (..., D)."""


class Reparameterised:
    """Draws mean + std · ε with ε from a given generator, so that gradients reach mean and std."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, posterior: Gaussian) -> Tensor:
        """Draw one value (..., D)."""
        mean = posterior.mean
        noise = torch.randn(mean.shape, generator=self.generator, device=mean.device, dtype=mean.dtype)
        return mean + posterior.std * noise


class AtMeans:
    """Takes the mean: what `infer` reports."""

    def __call__(self, posterior: Gaussian) -> Tensor:
        """The mean (..., D)."""
        return posterior.mean
