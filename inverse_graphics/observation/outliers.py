"""Gaussian noise with outliers: the values of some pixels are independent of the render."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from inverse_graphics.observation.model import (
    NOISES,
    Generator,
    NoiseSettings,
    PixelNoise,
    standard_normal,
    uniform,
)

ENTROPY_PIXELS = 2**16
"""Pixels whose noise is sampled to estimate the entropy, to about a hundredth of a nat."""


@dataclass(frozen=True)
class OutlierModel(PixelNoise):
    """A mixture for each pixel, all of its channels together: N(0, σ²), or an error uniform in [−1, 1].

    Attributes:
        share: the share of pixels that are outliers, in (0, 1).
    """

    share: float = 0.01

    def noise(self, like: Tensor, generator: Generator) -> Tensor:
        """Noise of images (..., C, H, W), grey levels."""
        outlier = uniform(like[..., :1, :, :], generator) < self.share
        anything = 2 * uniform(like, generator) - 1
        return torch.where(outlier, anything, self.sigma * standard_normal(like, generator))

    def loss(self, error: Tensor) -> Tensor:
        """Σ 2σ² [log p(0) − log p(e)] over the pixels of errors (..., C, H, W): (...)."""
        log_peak = error.shape[-3] * self.log_peak(error.shape[-3])
        return 2 * self.sigma**2 * (log_peak - self._log_density(error)).flatten(-2).sum(-1)

    def log_peak(self, channels: int) -> float:
        """log p of no error: nats per channel."""
        none = torch.zeros(channels, 1, 1, dtype=torch.float64)
        return float(self._log_density(none)) / channels

    def entropy_per_value(self, channels: int) -> float:
        """−E log p, estimated from sampled pixels: nats per channel."""
        like = torch.zeros(channels, 1, ENTROPY_PIXELS, dtype=torch.float64)
        error = self.noise(like, torch.Generator().manual_seed(0))
        return -float(self._log_density(error).mean()) / channels

    def _log_density(self, error: Tensor) -> Tensor:
        """log p of each pixel's errors (..., C, H, W): (..., H, W), nats."""
        channels = error.shape[-3]
        normaliser = channels * math.log(self.sigma * math.sqrt(2 * math.pi)) - math.log1p(-self.share)
        normal = -error.square().sum(-3) / (2 * self.sigma**2) - normaliser
        flat = math.log(self.share) - channels * math.log(2)
        within = (error.detach().abs() <= 1).all(-3)
        return torch.logaddexp(normal, torch.where(within, flat, -torch.inf).to(normal))


@NOISES.register("outliers")
class OutlierNoise(NoiseSettings):
    """Settings of Gaussian noise with outliers."""

    kind: Literal["outliers"] = "outliers"
    share: float = Field(0.01, gt=0, lt=1, description="share of pixels that are outliers")

    def model(self, sigma: float) -> OutlierModel:
        """The observation model.

        Args:
            sigma: standard deviation of pixels that are not outliers, grey levels.
        """
        return OutlierModel(sigma, self.share)
