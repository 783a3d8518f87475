"""Student's t noise: heavy tails, so that the cost of an unexplained pixel is the logarithm of its error.

Texture, clutter and highlights that the renderer does not model then have less weight than the other pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from inverse_graphics.observation.model import NOISES, Generator, NoiseSettings, PixelNoise, uniform


@dataclass(frozen=True)
class StudentTModel(PixelNoise):
    """Noise of Student's t on every channel of every pixel.

    sigma: its scale, grey levels; the standard deviation is sigma √(ν / (ν − 2)) where ν > 2.

    Attributes:
        degrees_of_freedom: ν > 0; the smaller, the heavier the tails. Source of the sampler: Bailey 1994,
            "Polar generation of random variates with the t-distribution".
    """

    degrees_of_freedom: float = 4.0

    def noise(self, like: Tensor, generator: Generator) -> Tensor:
        """Noise of images (..., C, H, W), by the polar method: t = √(ν (u^{−2/ν} − 1)) cos 2πv."""
        nu = self.degrees_of_freedom
        u, v = 1 - uniform(like, generator), uniform(like, generator)
        return self.sigma * (nu * torch.expm1(-2 / nu * u.log())).sqrt() * (2 * math.pi * v).cos()

    def loss(self, error: Tensor) -> Tensor:
        """Σ σ² (ν + 1) log(1 + e² / ν σ²) of errors (..., C, H, W): (...)."""
        nu, variance = self.degrees_of_freedom, self.sigma**2
        return variance * (nu + 1) * (error.flatten(-3).square() / (nu * variance)).log1p().sum(-1)

    def log_peak(self, channels: int) -> float:
        """log p of no error: nats per channel."""
        del channels
        nu = self.degrees_of_freedom
        return (
            math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - math.log(self.sigma * math.sqrt(nu * math.pi))
        )

    def entropy_per_value(self, channels: int) -> float:
        """(ν + 1) / 2 (ψ((ν + 1) / 2) − ψ(ν / 2)) − log p(0): nats."""
        half = self.degrees_of_freedom / 2
        high, low = torch.tensor([half + 0.5, half], dtype=torch.float64).digamma().tolist()
        return (half + 0.5) * (high - low) - self.log_peak(channels)


@NOISES.register("student_t")
class StudentTNoise(NoiseSettings):
    """Settings of Student's t noise."""

    kind: Literal["student_t"] = "student_t"
    degrees_of_freedom: float = Field(4.0, gt=0, le=1000, description="ν: the smaller, the heavier the tails")

    def model(self, sigma: float) -> StudentTModel:
        """The observation model.

        Args:
            sigma: scale, grey levels.
        """
        return StudentTModel(sigma, self.degrees_of_freedom)
