"""Gaussian noise: independent on every channel of every pixel, x = render + N(0, σ²)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from inverse_graphics.observation.model import NOISES, Generator, NoiseSettings, PixelNoise, standard_normal


@dataclass(frozen=True)
class GaussianModel(PixelNoise):
    """Noise of N(0, σ²) on every channel of every pixel; sigma in grey levels, [0, 1]."""

    def noise(self, like: Tensor, generator: Generator) -> Tensor:
        """Noise of images (..., C, H, W), grey levels."""
        return self.sigma * standard_normal(like, generator)

    def loss(self, error: Tensor) -> Tensor:
        """Sums of squares of errors (..., C, H, W): (...)."""
        return error.flatten(-3).square().sum(-1)

    def log_peak(self, channels: int) -> float:
        """log p of no error: nats per channel."""
        del channels
        return -math.log(self.sigma * math.sqrt(2 * math.pi))

    def entropy_per_value(self, channels: int) -> float:
        """The entropy of N(0, σ²), nats."""
        del channels
        return 0.5 + math.log(self.sigma * math.sqrt(2 * math.pi))


@NOISES.register("gaussian")
class GaussianNoise(NoiseSettings):
    """Settings of Gaussian noise, the default."""

    kind: Literal["gaussian"] = "gaussian"

    def model(self, sigma: float) -> GaussianModel:
        """The observation model.

        Args:
            sigma: standard deviation, grey levels.
        """
        return GaussianModel(sigma)
