"""Normal and truncated normal distributions with independent components, reparameterised."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.draws import draw_normal, draw_uniform


class Gaussian(NamedTuple):
    """Independent normal components.

    Attributes:
        mean: (..., D), std > 0.
        std: (..., D), std > 0.
    """

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
        """Sample mean + std · ε, (..., D); gradients reach mean and std."""
        mean = self.mean
        noise = draw_normal(mean.shape, generator, mean)
        return mean + self.std * noise

    def centre(self) -> Tensor:
        """The mean (..., D)."""
        return self.mean


_LOG_TWO_PI = 1.8378770664093453
_LOG_SQRT_TWO_PI = 0.5 * math.log(2 * math.pi)
_SQRT_HALF = math.sqrt(0.5)


class TruncatedNormal(NamedTuple):
    """Independent normal components, each conditioned to lie between its bounds.

    Attributes:
        mean: (..., D), within [low, high]; the mode, and the mean of the normal before truncation.
        std: (..., D), > 0, of the normal before truncation; 1e-3 to 100 times the interval's width is safe.
        low: broadcasts to (..., D).
        high: broadcasts to (..., D), > low. As std grows, the distribution tends to the uniform one. Source:
            Johnson, Kotz & Balakrishnan 1994, "Continuous univariate distributions" 1, section 13.10.1.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of `value` (..., D), clamped into the interval, summed over D: (...), nats."""
        standard = (value.clamp(self.low, self.high) - self.mean) / self.std
        return (-0.5 * standard.square() - self._log_scale()).sum(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Sample one value (..., D), strictly inside, by the inverse of the distribution function.

        Gradients reach mean, std and the bounds.
        """
        below, above = self._masses()
        u = draw_uniform(below.shape, generator, below)
        # the inverse error function is exact for small arguments, so a std beyond the width loses no digits;
        # at ±1, which only rounding reaches, it is infinite
        almost_one = 1 - torch.finfo(below.dtype).eps
        centred = (u * above - (1 - u) * below).clamp(-almost_one, almost_one)
        value = self.mean + self.std * torch.erfinv(centred) / _SQRT_HALF
        low, high = self.low.expand_as(value), self.high.expand_as(value)
        return value.clamp(torch.nextafter(low, high).detach(), torch.nextafter(high, low).detach())

    def entropy(self) -> Tensor:
        """Differential entropy, summed over D: (...), nats."""
        return self._entropies().sum(-1)

    def kl_to_uniform(self) -> Tensor:
        """KL(self ‖ uniform on the box), summed over D: (...), nats, ≥ 0."""
        return ((self.high - self.low).log() - self._entropies()).clamp_min(0).sum(-1)

    def centre(self) -> Tensor:
        """The mode (..., D)."""
        return self.mean

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Sample uniformly between the bounds: (..., D)."""
        u = draw_uniform(self.mean.shape, generator, self.mean)
        return self.low + (self.high - self.low) * u

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution between the bounds: (), nats."""
        return -(self.high - self.low).log().sum(-1)

    def _ends(self) -> tuple[Tensor, Tensor]:
        """The bounds in standard deviations from the mean: the first ≤ 0, the second ≥ 0."""
        return (self.low - self.mean) / self.std, (self.high - self.mean) / self.std

    def _masses(self) -> tuple[Tensor, Tensor]:
        """Twice the untruncated normal's mass from each bound to the mean: their sum has no cancellation."""
        start, end = self._ends()
        return torch.erf(-start * _SQRT_HALF), torch.erf(end * _SQRT_HALF)

    def _log_scale(self) -> Tensor:
        """Log of the normaliser: −z²/2 − log density, nats."""
        below, above = self._masses()
        return self.std.log() + (0.5 * (below + above)).log() + _LOG_SQRT_TWO_PI

    def _entropies(self) -> Tensor:
        """log(std √(2π) Z) + E[z²]/2, where integrating by parts gives E[z²] = 1 − (b φ(b) − a φ(a)) / Z."""
        start, end = self._ends()
        below, above = self._masses()
        boundary = (end * _normal_density(end) - start * _normal_density(start)) / (0.5 * (below + above))
        return self._log_scale() + 0.5 * (1 - boundary)


def _normal_density(z: Tensor) -> Tensor:
    return torch.exp(-0.5 * z.square() - _LOG_SQRT_TWO_PI)
