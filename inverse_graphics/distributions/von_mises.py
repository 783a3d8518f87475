"""Mixtures of von Mises distributions: beliefs about an angle."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import i0e

from inverse_graphics.distributions.mixture import drawn_component, mixture_log_prob
from inverse_graphics.distributions.von_mises_quantile import von_mises_quantile

_LOG_TWO_PI = math.log(2 * math.pi)


class VonMisesMixture(NamedTuple):
    """M von Mises components over an angle in radians.

    logits: (..., M), of the weights, unnormalised.  location: (..., M), radians, any.
    concentration: (..., M), > 0, tested from 1e-3 (nearly uniform) to 1e4 (std 0.01 rad).
    """

    logits: Tensor
    location: Tensor
    concentration: Tensor

    def log_prob(self, angle: Tensor) -> Tensor:
        """Log density of `angle` (...), radians, any turn of it: (...), nats."""
        return mixture_log_prob(self.logits, self.log_prob_of_components(angle))

    def log_prob_of_components(self, angle: Tensor) -> Tensor:
        """Log density of `angle` (...) under each component alone, without its weight: (..., M), nats."""
        half_turn = 0.5 * (angle[..., None] - self.location)
        # κ (cos d − 1), without the cancellation near d = 0
        exponent = -2 * self.concentration * half_turn.sin().square()
        return exponent - i0e(self.concentration).log() - _LOG_TWO_PI

    def sample_components(self, generator: torch.Generator) -> Tensor:
        """Draw one angle from every component: (..., M), in [−π, π]; gradients reach location, concentration.

        Where the circle is cut open the angle jumps by 2π; its gradient does not.
        """
        shape, device = self.location.shape, self.location.device
        u = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
        turned = self.location + von_mises_quantile(u, self.concentration)
        return torch.remainder(turned + math.pi, 2 * math.pi) - math.pi

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw an angle: (...), in [−π, π]; no gradient reaches the logits."""
        chosen = drawn_component(self.logits, generator)
        return self.sample_components(generator).gather(-1, chosen).squeeze(-1)

    def centre(self) -> Tensor:
        """The location at which the mixture is densest: (...), radians."""
        best = self._at_components(self.location).argmax(-1, keepdim=True)
        return self.location.gather(-1, best).squeeze(-1)

    def anywhere(self, generator: torch.Generator) -> Tensor:
        """Draw any angle: (...), in [−π, π)."""
        like = self.location[..., 0]
        u = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)
        return math.pi * (2 * u - 1)

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution: (), nats."""
        return self.location.new_tensor(-_LOG_TWO_PI)

    def kl_to_uniform(self, angle: Tensor) -> Tensor:
        """The integrand log q(angle) − log(1/2π) (...), nats, whose mean over draws is KL(self ‖ uniform)."""
        return self.log_prob(angle) + _LOG_TWO_PI

    def enumerated_kl_to_uniform(self, angles: Tensor) -> Tensor:
        """Estimate KL(self ‖ uniform) from one draw of every component, weighted: (...), nats.

        angles: (..., M), as from `sample_components`. Unbiased; gradients reach the logits too.
        """
        weights = torch.softmax(self.logits, -1)
        return (weights * (self._at_components(angles) + _LOG_TWO_PI)).sum(-1)

    def _at_components(self, angles: Tensor) -> Tensor:
        """The mixture's log density at one angle for every component: (..., M) → (..., M)."""
        return VonMisesMixture(*(part[..., None, :] for part in self)).log_prob(angles)
