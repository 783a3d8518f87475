"""Mixtures of von Mises distributions, reparameterised by the inverse of the distribution function."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.special import i0e, i1e

from inverse_graphics.distributions.discrete import mixture_log_prob, sample_component
from inverse_graphics.distributions.draws import draw_uniform

_CELLS = 64
_NODES, _WEIGHTS = ((0.5 * x).tolist() for x in np.polynomial.legendre.leggauss(32))
_REACH = 3.6  # beyond sin(t/2) = 3.6/√κ the density has fallen by e^−26; 1e-12 of the mass lies there


def von_mises_quantile(u: Tensor, concentration: Tensor) -> Tensor:
    """Compute the quantile u of the von Mises distribution with mean 0.

    Args:
        u: (...), float64, in [0, 1].
        concentration: (...), > 0.

    Returns:
        (...), radians in [−π, π], of the dtype of `concentration`, exact to its rounding. The gradient in the
        concentration κ is that of implicit reparameterisation, −(∂F/∂κ)/p (Figurnov et al. 2018, eq. 5); none
        flows into u.
    """
    with torch.no_grad():
        angle, slope = _solve(2 * u - 1, concentration.double())
    angle, slope = angle.to(concentration.dtype), slope.to(concentration.dtype)
    return angle + slope * (concentration - concentration.detach())


def _solve(centred: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    """The angle whose distribution function is (1 + centred)/2, and its derivative in κ: float64."""
    share = centred.abs().clamp_max(1 - 1e-11)  # the probability that |t| is below the angle sought
    reach = 2 * torch.asin((_REACH / kappa.sqrt()).clamp_max(1.0))
    target = share * math.pi * i0e(kappa)  # of ∫ exp(κ (cos t − 1)) dt from 0
    angle = _first_guess(share, kappa, reach)
    # Halley's step reduces the guess's error from 1e-2 to 1e-6 standard deviations, Newton's to rounding
    area, height, _ = _integrals(angle, kappa)
    newton = (target - area) / height
    angle = torch.minimum(angle + newton / (1 - 0.5 * newton * kappa * angle.sin()).clamp_min(0.5), reach)
    area, height, change = _integrals(angle, kappa)
    angle = torch.minimum(angle + (target - area) / height, reach)
    sign = centred.sign()
    return sign * angle, -sign * change / height


def _first_guess(share: Tensor, kappa: Tensor, reach: Tensor) -> Tensor:
    """Invert the trapezoidal distribution function on a grid of 64 cells up to `reach`."""
    steps = torch.linspace(0, 1, _CELLS + 1, dtype=kappa.dtype, device=kappa.device)
    density = _density(reach[..., None] * steps, kappa[..., None])
    areas = torch.cumsum(0.5 * (density[..., 1:] + density[..., :-1]), -1)  # in cell widths
    wanted = share[..., None] * areas[..., -1:]
    cell = torch.searchsorted(areas, wanted).clamp_max(_CELLS - 1)
    start, end = density.gather(-1, cell), density.gather(-1, cell + 1)
    rest = wanted - areas.gather(-1, cell) + 0.5 * (start + end)
    # the density is interpolated linearly within the cell, so its integral is a parabola
    root = (start.square() + 2 * rest * (end - start)).clamp_min(0).sqrt()
    within = (2 * rest / (start + root)).clamp(0, 1)
    return ((cell + within) / _CELLS).squeeze(-1) * reach


def _integrals(angle: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """From 0 to `angle`: ∫ d(t) dt, then d(angle), and ∫ d(t) (cos t − E cos t) dt, d = exp(κ (cos t − 1)).

    The last is, over the normaliser, the derivative of the distribution function in κ.
    """
    nodes = torch.tensor(_NODES, dtype=kappa.dtype, device=kappa.device) + 0.5
    weights = torch.tensor(_WEIGHTS, dtype=kappa.dtype, device=kappa.device)
    t = angle[..., None] * nodes
    weighted = _density(t, kappa[..., None]) * weights
    spread = 1 - i1e(kappa) / i0e(kappa)  # 1 − E cos t
    off_mean = spread[..., None] - 2 * (0.5 * t).sin().square()
    return weighted.sum(-1) * angle, _density(angle, kappa), (weighted * off_mean).sum(-1) * angle


def _density(t: Tensor, kappa: Tensor) -> Tensor:
    """exp(κ (cos t − 1)), exact near t = 0."""
    return torch.exp(-2 * kappa * (0.5 * t).sin().square())


_LOG_TWO_PI = math.log(2 * math.pi)


class VonMisesMixture(NamedTuple):
    """M von Mises components over an angle in radians.

    Attributes:
        logits: (..., M), of the weights, unnormalised.
        location: (..., M), radians, any.
        concentration: (..., M), > 0, tested from 1e-3 (nearly uniform) to 1e4 (std 0.01 rad).
    """

    logits: Tensor
    location: Tensor
    concentration: Tensor

    def log_prob(self, angle: Tensor) -> Tensor:
        """Log density of `angle` (...), radians, modulo 2π: (...), nats."""
        return mixture_log_prob(self.logits, self.log_prob_of_components(angle))

    def log_prob_of_components(self, angle: Tensor) -> Tensor:
        """Log density of `angle` (...) under each component, without its weight: (..., M), nats."""
        half_difference = 0.5 * (angle[..., None] - self.location)
        # κ (cos d − 1), without the cancellation near d = 0
        exponent = -2 * self.concentration * half_difference.sin().square()
        return exponent - i0e(self.concentration).log() - _LOG_TWO_PI

    def sample_components(self, generator: torch.Generator) -> Tensor:
        """Sample an angle from every component: (..., M), in [−π, π].

        Gradients reach location and concentration. At ±π the angle jumps by 2π; its gradient does not.
        """
        u = draw_uniform(self.location.shape, generator, self.location, torch.float64)
        angle = self.location + von_mises_quantile(u, self.concentration)
        return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi

    def sample(self, generator: torch.Generator) -> Tensor:
        """Sample an angle: (...), in [−π, π]; no gradient reaches the logits."""
        chosen = sample_component(self.logits, generator)
        return self.sample_components(generator).gather(-1, chosen).squeeze(-1)

    def centre(self) -> Tensor:
        """The location of largest density: (...), radians."""
        best = self._at_components(self.location).argmax(-1, keepdim=True)
        return self.location.gather(-1, best).squeeze(-1)

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Sample from the uniform distribution: (...), in [−π, π)."""
        like = self.location[..., 0]
        u = draw_uniform(like.shape, generator, like)
        return math.pi * (2 * u - 1)

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution: (), nats."""
        return self.location.new_tensor(-_LOG_TWO_PI)

    def kl_to_uniform(self, angle: Tensor) -> Tensor:
        """The integrand log q(angle) − log(1/2π) (...), nats; its mean over samples is KL(self ‖ uniform)."""
        return self.log_prob(angle) + _LOG_TWO_PI

    def enumerated_kl_to_uniform(self, angles: Tensor) -> Tensor:
        """Estimate KL(self ‖ uniform) from one weighted sample of every component: (...), nats.

        Args:
            angles: (..., M), as from `sample_components`. Unbiased; gradients reach the logits too.
        """
        weights = torch.softmax(self.logits, -1)
        return (weights * (self._at_components(angles) + _LOG_TWO_PI)).sum(-1)

    def _at_components(self, angles: Tensor) -> Tensor:
        """The mixture's log density at one angle for every component: (..., M) → (..., M)."""
        return VonMisesMixture(*(part[..., None, :] for part in self)).log_prob(angles)
