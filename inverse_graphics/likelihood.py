"""How probable an image is, given what was rendered."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


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
