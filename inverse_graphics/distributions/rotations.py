"""Mixtures of tangent-space Gaussians on the rotations: beliefs about an orientation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.mixture import drawn_component, mixture_log_prob
from inverse_graphics.geometry.rotation import (
    matrix_from_rotation_vector,
    random_rotations,
    rotation_vector_from_matrix,
)

_LOG_TWO_PI = math.log(2 * math.pi)
_LOG_EIGHT_PI_SQUARED = math.log(8 * math.pi**2)


class RotationMixture(NamedTuple):
    """M components over a rotation, each location · exp(v) with v normal in the object's own frame.

    logits: (..., M), of the weights, unnormalised.  location: (..., M, 3, 3), rotations.
    std: (..., M, 3), radians, of the rotation vector v about the object's x, y and z.

    Densities are with respect to the Haar measure of total mass 1, so the uniform distribution's is 1. They
    integrate to one within 1e-3 for std ≤ 1.25: of the vectors v + 2πk along v's axis, which are one
    rotation, the two shortest are summed, and the second only at angles above ½.
    """

    logits: Tensor
    location: Tensor
    std: Tensor

    def log_prob(self, rotation: Tensor) -> Tensor:
        """Log density of `rotation` (..., 3, 3): (...), nats."""
        return mixture_log_prob(self.logits, self.log_prob_of_components(rotation))

    def log_prob_of_components(self, rotation: Tensor) -> Tensor:
        """Log density of `rotation` (..., 3, 3) under each component alone, without its weight: (..., M)."""
        between = self.location.transpose(-1, -2) @ rotation[..., None, :, :]
        return _log_density(rotation_vector_from_matrix(between), self.std)

    def sample_components(self, generator: torch.Generator) -> Tensor:
        """Draw one rotation from every component: (..., M, 3, 3); gradients reach location and std."""
        std = self.std
        noise = torch.randn(std.shape, generator=generator, dtype=std.dtype, device=std.device)
        return self.location @ matrix_from_rotation_vector(std * noise)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw a rotation: (..., 3, 3); no gradient reaches the logits."""
        return _taken(self.sample_components(generator), drawn_component(self.logits, generator))

    def centre(self) -> Tensor:
        """The location at which the mixture is densest: (..., 3, 3)."""
        return _taken(self.location, self._at_components(self.location).argmax(-1, keepdim=True))

    def anywhere(self, generator: torch.Generator) -> Tensor:
        """Draw any rotation: (..., 3, 3)."""
        return random_rotations(tuple(self.logits.shape[:-1]), generator, self.location.dtype)

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution: (), nats; 0, by the measure's choice."""
        return self.location.new_zeros(())

    def kl_to_uniform(self, rotation: Tensor) -> Tensor:
        """The integrand log q(rotation) − log 1 (...), nats, whose mean over draws is KL(self ‖ uniform)."""
        return self.log_prob(rotation)

    def enumerated_kl_to_uniform(self, rotations: Tensor) -> Tensor:
        """Estimate KL(self ‖ uniform) from one draw of every component, weighted: (...), nats.

        rotations: (..., M, 3, 3), as from `sample_components`. Unbiased; gradients reach the logits too.
        """
        return (torch.softmax(self.logits, -1) * self._at_components(rotations)).sum(-1)

    def _at_components(self, rotations: Tensor) -> Tensor:
        """The mixture's log density at one rotation for every component: (..., M, 3, 3) → (..., M)."""
        spread = RotationMixture(
            self.logits[..., None, :], self.location[..., None, :, :, :], self.std[..., None, :, :]
        )
        return spread.log_prob(rotations)


def _taken(rotations: Tensor, index: Tensor) -> Tensor:
    """One of M rotations each.  rotations: (..., M, 3, 3).  index: (..., 1).  Returns (..., 3, 3)."""
    return torch.take_along_dim(rotations, index[..., None, None], dim=-3).squeeze(-3)


def _log_density(vector: Tensor, std: Tensor) -> Tensor:
    """Log Haar density of exp(vector), angle θ ≤ π, where the vector is normal.  Both (..., 3) → (...).

    The exponential map's volume is dR = 2 (1 − cos θ)/θ² dv / 8π² (Chirikjian 2012, "Stochastic models,
    information theory, and Lie groups" 2, section 10.6), and the vector of angle θ − 2π is the same rotation.
    """
    angle2 = vector.square().sum(-1)
    direct = _log_normal(vector, std) + _log_stretch(angle2)
    far = angle2 > 0.25  # nearer, its density diverges like 1/θ², with no mass to speak of
    angle = torch.where(far, angle2, 1.0).sqrt()
    other_way = vector * (1 - 2 * math.pi / angle)[..., None]
    image = _log_normal(other_way, std) + 2 * ((math.pi - 0.5 * angle) / torch.sin(0.5 * angle)).log()
    return torch.where(far, torch.logaddexp(direct, image), direct) + _LOG_EIGHT_PI_SQUARED


def _log_normal(vector: Tensor, std: Tensor) -> Tensor:
    return (-0.5 * (vector / std).square() - std.log() - 0.5 * _LOG_TWO_PI).sum(-1)


def _log_stretch(angle2: Tensor) -> Tensor:
    """log(θ²/(2 (1 − cos θ))) = −2 log(sin(θ/2)/(θ/2)) of θ², by its series where that is 0/0."""
    near = angle2 < 1e-4
    half = 0.5 * torch.where(near, 1.0, angle2).sqrt()
    return torch.where(near, angle2 / 12 + angle2.square() / 1440, 2 * (half / half.sin()).log())
