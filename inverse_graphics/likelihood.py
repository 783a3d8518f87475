"""How probable an image is, given what was rendered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import avg_pool2d


class Likelihood(Protocol):
    """Anything that says how well a render explains an image."""

    def log_prob(self, image: Tensor, render: Tensor) -> Tensor:
        """log p(image | render), nats: (...) for images (..., C, H, W)."""


@dataclass(frozen=True)
class GaussianLikelihood:
    """Independent Gaussian noise on every pixel: x = render + N(0, σ²).  sigma: grey levels in [0, 1]."""

    sigma: float

    def log_prob(self, image: Tensor, render: Tensor) -> Tensor:
        """log p(image | render), nats, summed over the last three axes.

        image, render: (..., C, H, W), broadcast against each other.  Returns (...).
        """
        error = (image - render).flatten(-3)
        normaliser = error.shape[-1] * math.log(self.sigma * math.sqrt(2 * math.pi))
        return -error.square().sum(-1) / (2 * self.sigma**2) - normaliser


@dataclass(frozen=True)
class PyramidLikelihood:
    """Compares at every scale: a training surrogate whose gradient reaches far, and no likelihood.

    Level l averages 2ˡ × 2ˡ pixels and weighs 4ˡ, as averaging divides a sum of squares by four; all levels
    together weigh as much as one. sigma: as of `GaussianLikelihood`.  levels: at least 1, the image itself.
    """

    sigma: float
    levels: int = 4

    def log_prob(self, image: Tensor, render: Tensor) -> Tensor:
        """The surrogate's value, nats.  image, render: (..., C, H, W), broadcast against each other."""
        error = image - render
        leading, rest = error.shape[:-3], error.shape[-3:]
        level, total = error.reshape(-1, *rest), error.new_zeros(())
        normaliser = rest.numel() * math.log(self.sigma * math.sqrt(2 * math.pi))
        for index in range(self.levels):
            level = avg_pool2d(level, 2) if index else level
            total = total - 4**index * level.flatten(1).square().sum(-1)
        return total.reshape(leading) / (2 * self.sigma**2 * self.levels) - normaliser
