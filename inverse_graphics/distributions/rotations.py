"""Mixtures of tangent-space Gaussians on the rotation group: posteriors of an orientation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.discrete import mixture_log_prob, sample_component
from inverse_graphics.distributions.draws import draw_normal
from inverse_graphics.geometry.transforms import (
    matrix_from_rotation_vector,
    random_rotations,
    rotation_vector_from_matrix,
)

_LOG_TWO_PI = math.log(2 * math.pi)
_LOG_EIGHT_PI_SQUARED = math.log(8 * math.pi**2)

MODE_RADIUS = 0.5
"""Radians; components at most this far apart, modulo symmetry, belong to one mode."""


class SymmetricRotations(NamedTuple):
    """Distribution of the orientation of a symmetric object, modulo its symmetry group.

    Symmetric orientations are one outcome, whose density is the mean of the mixture's density over them; the
    density of the uniform distribution is again 1.


    Attributes:
        mixture: of the orientation, (..., M) components.
        symmetry_group: (..., S, 3, 3), the rotations that leave the object unchanged, including the identity.
        log_symmetry_weight: (..., S), −log of their number, or −∞ for padding.
    """

    mixture: RotationMixture
    symmetry_group: Tensor
    log_symmetry_weight: Tensor

    def log_prob(self, rotation: Tensor) -> Tensor:
        """Log density of `rotation` (..., 3, 3) modulo symmetry: (...), nats."""
        each = (rotation[..., None, :, :] @ self.symmetry_group).flatten(-2)  # (..., S, 9)
        cosine = 0.5 * (each @ self.mixture.location.flatten(-2).transpose(-1, -2) - 1)
        of_components = _log_density(_angle2(cosine), self.mixture.std[..., None, :])
        each_log_prob = mixture_log_prob(self.mixture.logits[..., None, :], of_components)
        return torch.logsumexp(each_log_prob + self.log_symmetry_weight, dim=-1)

    def kl_to_uniform(self, rotation: Tensor) -> Tensor:
        """The integrand (...), nats, whose mean over samples is KL(self ‖ uniform) modulo symmetry."""
        return self.log_prob(rotation)

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution: (), nats."""
        return self.mixture.log_uniform()

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Sample from the uniform distribution: (..., 3, 3)."""
        return self.mixture.sample_uniform(generator)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Sample a rotation: (..., 3, 3); no gradient reaches the logits."""
        return self.mixture.sample(generator)

    def centre(self) -> Tensor:
        """The mean of the mode that contains the component of largest weight: (..., 3, 3).

        Each component within that mode, modulo symmetry, counts by its weight times its precision, as in a
        product of Gaussians.
        """
        first = self.mixture.centre()
        each = (
            self.mixture.location[..., :, None, :, :] @ self.symmetry_group[..., None, :, :, :]
        )  # (..., M, S, 3, 3)
        between = first.transpose(-1, -2)[..., None, None, :, :] @ each
        trace = between.diagonal(dim1=-2, dim2=-1).sum(-1) + self.log_symmetry_weight[..., None, :]
        offset = rotation_vector_from_matrix(_gather_rotation(between, trace.argmax(-1, keepdim=True)))
        weight = torch.softmax(self.mixture.logits, -1) / self.mixture.std.square()
        weight = weight * (offset.square().sum(-1) <= MODE_RADIUS**2)
        mean = (weight[..., None] * offset).sum(-2) / weight.sum(-1, keepdim=True)
        return first @ matrix_from_rotation_vector(mean)


class RotationMixture(NamedTuple):
    """M components over a rotation, each location · exp(v) with v normal in the object's own frame.

    Densities are with respect to the Haar measure of total mass 1, so the uniform distribution's is 1. They
    integrate to one within 1e-3 for std ≤ 1.25: the vectors v + 2πk along v's axis are the same rotation; of
    these the two shortest are summed, the second only at angles above ½.


    Attributes:
        logits: (..., M), of the weights, unnormalised.
        location: (..., M, 3, 3), rotations.
        std: (..., M), radians, of each of the three components of the rotation vector v: one for all three,
            so that densities follow from the angle alone, which one matrix product gives for all components
            at once.
    """

    logits: Tensor
    location: Tensor
    std: Tensor

    def log_prob(self, rotation: Tensor) -> Tensor:
        """Log density of `rotation` (..., 3, 3): (...), nats."""
        return mixture_log_prob(self.logits, self.log_prob_of_components(rotation))

    def log_prob_of_components(self, rotation: Tensor) -> Tensor:
        """Log density of `rotation` (..., 3, 3) under each component, without its weight: (..., M)."""
        cosine = 0.5 * ((self.location * rotation[..., None, :, :]).sum((-2, -1)) - 1)
        return _log_density(_angle2(cosine), self.std)

    def sample_components(self, generator: torch.Generator) -> Tensor:
        """Sample one rotation from every component: (..., M, 3, 3); gradients reach location and std."""
        std = self.std
        noise = draw_normal((*std.shape, 3), generator, std)
        return self.location @ matrix_from_rotation_vector(std[..., None] * noise)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Sample a rotation: (..., 3, 3); no gradient reaches the logits."""
        return _gather_rotation(self.sample_components(generator), sample_component(self.logits, generator))

    def centre(self) -> Tensor:
        """The location of the component of largest weight: (..., 3, 3).

        It need not be the point of largest density: a component of negligible weight may be very narrow.
        """
        return _gather_rotation(self.location, self.logits.argmax(-1, keepdim=True))

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Sample from the uniform distribution: (..., 3, 3)."""
        return random_rotations(tuple(self.logits.shape[:-1]), generator, self.location.dtype)

    def log_uniform(self) -> Tensor:
        """Log density of the uniform distribution: (), nats; 0 under the Haar measure."""
        return self.location.new_zeros(())

    def kl_to_uniform(self, rotation: Tensor) -> Tensor:
        """The integrand log q(rotation) (...), nats, whose mean over samples is KL(self ‖ uniform)."""
        return self.log_prob(rotation)

    def enumerated_kl_to_uniform(self, rotations: Tensor) -> Tensor:
        """Estimate KL(self ‖ uniform) from one weighted sample of every component: (...), nats.

        Args:
            rotations: (..., M, 3, 3), as from `sample_components`. Unbiased; gradients reach the logits too.
        """
        return (torch.softmax(self.logits, -1) * self._at_components(rotations)).sum(-1)

    def _at_components(self, rotations: Tensor) -> Tensor:
        """The mixture's log density at one rotation for every component: (..., M, 3, 3) → (..., M)."""
        spread = RotationMixture(
            self.logits[..., None, :], self.location[..., None, :, :, :], self.std[..., None, :]
        )
        return spread.log_prob(rotations)


def _gather_rotation(rotations: Tensor, index: Tensor) -> Tensor:
    """One of M rotations each.

    Args:
        rotations: (..., M, 3, 3).
        index: (..., 1).

    Returns:
        (..., 3, 3).
    """
    return torch.take_along_dim(rotations, index[..., None, None], dim=-3).squeeze(-3)


def _angle2(cosine: Tensor) -> Tensor:
    """θ² of cos θ, radians²; smooth at θ = 0, and clamped just below θ = π, where it is not smooth."""
    cosine = cosine.clamp(min=-1 + 4 * torch.finfo(cosine.dtype).eps)
    below = 1 - cosine
    near = below < 1e-3
    angle = torch.arccos(torch.where(near, 0.0, cosine))
    return torch.where(near, below * (2 + below * (1 / 3 + below * 4 / 45)), angle.square())


def _log_density(angle2: Tensor, std: Tensor) -> Tensor:
    """Log Haar density of rotations by an angle θ ≤ π with a normal rotation vector.

    The exponential map's volume is dR = 2 (1 − cos θ)/θ² dv / 8π² (Chirikjian 2012, "Stochastic models,
    information theory, and Lie groups" 2, section 10.6), and the vector of angle θ − 2π is the same rotation.


    Args:
        angle2: θ², (...).
    """
    direct = _log_normal(angle2, std) + _log_stretch(angle2)
    far = angle2 > 0.25  # at smaller angles its density diverges like 1/θ², with negligible mass
    angle = torch.where(far, angle2, 1.0).sqrt()
    other_way = (2 * math.pi - angle).square()
    image = _log_normal(other_way, std) + 2 * ((math.pi - 0.5 * angle) / torch.sin(0.5 * angle)).log()
    return torch.where(far, torch.logaddexp(direct, image), direct) + _LOG_EIGHT_PI_SQUARED


def _log_normal(angle2: Tensor, std: Tensor) -> Tensor:
    return -0.5 * angle2 / std.square() - 3 * (std.log() + 0.5 * _LOG_TWO_PI)


def _log_stretch(angle2: Tensor) -> Tensor:
    """log(θ²/(2 (1 − cos θ))) = −2 log(sin(θ/2)/(θ/2)) of θ², by its series where the quotient is 0/0."""
    near = angle2 < 1e-4
    half = 0.5 * torch.where(near, 1.0, angle2).sqrt()
    return torch.where(near, angle2 / 12 + angle2.square() / 1440, 2 * (half / half.sin()).log())
