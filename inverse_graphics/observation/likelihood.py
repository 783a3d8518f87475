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

    Each level is half as wide as the one before, its pixels being means of 4 × 4 of those, and level l weighs
    4ˡ, as a quarter of the pixels have a quarter of the sum of squares; all levels together weigh as much as
    one. Windows overlap: with blocks that do not, where an object stands among the blocks matters more than
    where it should stand, and from two radii off it is pulled anywhere.
    sigma: as of `GaussianLikelihood`.  levels: at least 1, the image itself.
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
            level = avg_pool2d(level, 4, 2, padding=1, count_include_pad=False) if index else level
            total = total - 4**index * level.flatten(1).square().sum(-1)
        return total.reshape(leading) / (2 * self.sigma**2 * self.levels) - normaliser
