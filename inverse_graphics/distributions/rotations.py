"""Mixtures of tangent-space Gaussians on the rotations: beliefs about an orientation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.discrete import drawn_component, mixture_log_prob
from inverse_graphics.geometry.transforms import (
    matrix_from_rotation_vector,
    random_rotations,
    rotation_vector_from_matrix,
)

_LOG_TWO_PI = math.log(2 * math.pi)
_LOG_EIGHT_PI_SQUARED = math.log(8 * math.pi**2)

AGREEING = 0.5
"""Radians; components no farther apart, modulo symmetry, are of the same orientation."""


class SymmetricRotations(NamedTuple):
    """A belief about an orientation of an object that looks the same when turned by some rotations.

    belief: over the orientation, (..., M) components.  symmetry_group: (..., S, 3, 3), the rotations that
    leave the object as it is, the identity among them.  log_symmetry_weight: (..., S), −log of their number,
    or −∞ for those that only fill the tensor.

    Orientations that look the same are one outcome, whose density is the mean of the belief's over them; the
    uniform distribution's is again 1.
    """

    belief: RotationMixture
    symmetry_group: Tensor
    log_symmetry_weight: Tensor

    def log_prob(self, rotation: Tensor) -> Tensor:
        """Log density of what `rotation` (..., 3, 3) looks like: (...), nats."""
        each = (rotation[..., None, :, :] @ self.symmetry_group).flatten(-2)  # (..., S, 9)
        cosine = 0.5 * (each @ self.belief.location.flatten(-2).transpose(-1, -2) - 1)
        of_components = _log_density(_angle2(cosine), self.belief.std[..., None, :])
        weighed = mixture_log_prob(self.belief.logits[..., None, :], of_components)
        return torch.logsumexp(weighed + self.log_symmetry_weight, dim=-1)

    def kl_to_uniform(self, rotation: Tensor) -> Tensor:
        """The integrand (...), nats, whose mean over draws is KL(self ‖ uniform), of what can be seen."""
        return self.log_prob(rotation)

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution: (), nats."""
        return self.belief.log_uniform()

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Draw any rotation: (..., 3, 3)."""
        return self.belief.sample_uniform(generator)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw a rotation: (..., 3, 3); no gradient reaches the logits."""
        return self.belief.sample(generator)

    def centre(self) -> Tensor:
        """The mean of what agrees with the component that weighs most: (..., 3, 3).

        Each component that lies near it, modulo symmetry, says in its own way where the orientation is,
        weighed by its weight and, as in a product of beliefs, by its precision.
        """
        first = self.belief.centre()
        each = (
            self.belief.location[..., :, None, :, :] @ self.symmetry_group[..., None, :, :, :]
        )  # (..., M, S, 3, 3)
        between = first.transpose(-1, -2)[..., None, None, :, :] @ each
        trace = between.diagonal(dim1=-2, dim2=-1).sum(-1) + self.log_symmetry_weight[..., None, :]
        away = rotation_vector_from_matrix(_taken(between, trace.argmax(-1, keepdim=True)))
        weight = torch.softmax(self.belief.logits, -1) / self.belief.std.square()
        weight = weight * (away.square().sum(-1) <= AGREEING**2)
        mean = (weight[..., None] * away).sum(-2) / weight.sum(-1, keepdim=True)
        return first @ matrix_from_rotation_vector(mean)


class RotationMixture(NamedTuple):
    """M components over a rotation, each location · exp(v) with v normal in the object's own frame.

    logits: (..., M), of the weights, unnormalised.  location: (..., M, 3, 3), rotations.
    std: (..., M), radians, of each of the three parts of the rotation vector v: one for all three, so that
    densities follow from the angle alone, which one product of matrices gives for all components at once.

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
        cosine = 0.5 * ((self.location * rotation[..., None, :, :]).sum((-2, -1)) - 1)
        return _log_density(_angle2(cosine), self.std)

    def sample_components(self, generator: torch.Generator) -> Tensor:
        """Draw one rotation from every component: (..., M, 3, 3); gradients reach location and std."""
        std = self.std
        noise = torch.randn((*std.shape, 3), generator=generator, dtype=std.dtype, device=std.device)
        return self.location @ matrix_from_rotation_vector(std[..., None] * noise)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw a rotation: (..., 3, 3); no gradient reaches the logits."""
        return _taken(self.sample_components(generator), drawn_component(self.logits, generator))

    def centre(self) -> Tensor:
        """The location of the component that weighs most: (..., 3, 3).

        Not the mode: a component that is never believed may be narrow enough to be the densest.
        """
        return _taken(self.location, self.logits.argmax(-1, keepdim=True))

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
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
            self.logits[..., None, :], self.location[..., None, :, :, :], self.std[..., None, :]
        )
        return spread.log_prob(rotations)


def _taken(rotations: Tensor, index: Tensor) -> Tensor:
    """One of M rotations each.  rotations: (..., M, 3, 3).  index: (..., 1).  Returns (..., 3, 3)."""
    return torch.take_along_dim(rotations, index[..., None, None], dim=-3).squeeze(-3)


def _angle2(cosine: Tensor) -> Tensor:
    """θ² of cos θ, radians²; smooth at θ = 0, and held a little before half turns, where it has an edge."""
    cosine = cosine.clamp(min=-1 + 4 * torch.finfo(cosine.dtype).eps)
    below = 1 - cosine
    near = below < 1e-3
    angle = torch.arccos(torch.where(near, 0.0, cosine))
    return torch.where(near, below * (2 + below * (1 / 3 + below * 4 / 45)), angle.square())


def _log_density(angle2: Tensor, std: Tensor) -> Tensor:
    """Log Haar density of rotations by an angle θ ≤ π whose vector is normal.  angle2: θ².  Both (...).

    The exponential map's volume is dR = 2 (1 − cos θ)/θ² dv / 8π² (Chirikjian 2012, "Stochastic models,
    information theory, and Lie groups" 2, section 10.6), and the vector of angle θ − 2π is the same rotation.
    """
    direct = _log_normal(angle2, std) + _log_stretch(angle2)
    far = angle2 > 0.25  # nearer, its density diverges like 1/θ², with no mass to speak of
    angle = torch.where(far, angle2, 1.0).sqrt()
    other_way = (2 * math.pi - angle).square()
    image = _log_normal(other_way, std) + 2 * ((math.pi - 0.5 * angle) / torch.sin(0.5 * angle)).log()
    return torch.where(far, torch.logaddexp(direct, image), direct) + _LOG_EIGHT_PI_SQUARED


def _log_normal(angle2: Tensor, std: Tensor) -> Tensor:
    return -0.5 * angle2 / std.square() - 3 * (std.log() + 0.5 * _LOG_TWO_PI)


def _log_stretch(angle2: Tensor) -> Tensor:
    """log(θ²/(2 (1 − cos θ))) = −2 log(sin(θ/2)/(θ/2)) of θ², by its series where that is 0/0."""
    near = angle2 < 1e-4
    half = 0.5 * torch.where(near, 1.0, angle2).sqrt()
    return torch.where(near, angle2 / 12 + angle2.square() / 1440, 2 * (half / half.sin()).log())
