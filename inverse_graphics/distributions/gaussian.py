"""Gaussians with independent components, reparameterised."""

from __future__ import annotations

from typing import NamedTuple

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

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw mean + std · ε, (..., D), so that gradients reach mean and std."""
        mean = self.mean
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + self.std * noise

    def centre(self) -> Tensor:
        """The mean (..., D)."""
        return self.mean


_LOG_TWO_PI = 1.8378770664093453
