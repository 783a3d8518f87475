"""Network heads, and the posteriors of camera and objects that they parametrise.

Parameters are computed in float32 whatever the precision of the feature maps, as positions need more than
eight bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from inverse_graphics.distributions.discrete import Categorical
from inverse_graphics.distributions.normal import TruncatedNormal
from inverse_graphics.distributions.rotations import RotationMixture, SymmetricRotations
from inverse_graphics.distributions.sampler import NO_MIXTURE, DefensiveMixture, log_prob_mixture
from inverse_graphics.distributions.von_mises import VonMisesMixture
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector, spread_rotations
from inverse_graphics.models.air3d.features import STRIDE, Maps, Normed
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.scene.batch import CameraBatch

MODE_RADIUS = 1.5
"""Largest distance of votes for the same location, cells."""


class CameraParameters(NamedTuple):
    """Unconstrained parameters of the camera's posterior.

    Attributes:
        centre: (B, 3), logits of the relative position of each orbit parameter in its range.
        raw_std: (B, 3), unconstrained standard deviations.
    """

    centre: Tensor
    raw_std: Tensor


class CameraHead(nn.Module):
    """Predicts azimuth, elevation and distance of the camera from the coarse map."""

    SQUEEZED = 16

    def __init__(self, channels: int, cells: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, self.SQUEEZED, 1)
        self.hidden = nn.Linear(self.SQUEEZED * cells, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.output = _small_init(nn.Linear(hidden, 6))

    def forward(self, maps: Maps) -> CameraParameters:
        """Predict the parameters from the image's feature maps."""
        squeezed = torch.relu(self.squeeze(maps.coarse.float())).flatten(1)
        hidden = self.norm(torch.relu(self.hidden(squeezed)))
        return CameraParameters(*self.output(hidden).chunk(2, dim=-1))


class ObjectParameters(NamedTuple):
    """Unconstrained parameters of the next object's posterior.

    Attributes:
        pixel: (B, 2), column and row of its origin in the image, pixels.
        presence: (B,), logit of presence.
        identity: (B, K), logits of kinds.
        raw_std: (B, 2), unconstrained standard deviations of its position.
        orientation: (B, T), parameters of its orientation's posterior.
    """

    pixel: Tensor
    presence: Tensor
    identity: Tensor
    raw_std: Tensor
    orientation: Tensor


class ObjectLocation(NamedTuple):
    """The predicted location of the next object.

    Attributes:
        pixel: (B, 2), column and row of its origin in the image, pixels.
        presence: (B,), logit of presence.
        raw_std: (B, 2), unconstrained standard deviations of its position.
        features: (B, F), features at the location and of the whole image.
    """

    pixel: Tensor
    presence: Tensor
    raw_std: Tensor
    features: Tensor


class LocationHead(nn.Module):
    """Predicts the location and presence of the next object.

    Attention over the cells of the fine map weights their votes, each an offset from the cell to the object's
    origin. The features are the attended ones, and mean and maximum of the coarse map. In evaluation, only
    cells whose votes agree with the most attended one count, as a mean of two modes lies between two objects;
    not so in families with at most one object (`several` false).
    """

    def __init__(self, fine: int, coarse: int, hidden: int, presence: float, several: bool = True) -> None:
        super().__init__()
        self.several = several
        self.vote = nn.Conv2d(fine, 3, 1)  # attention logit, then offset in cells
        self.hidden = nn.Linear(fine + 2 * coarse + 4, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.output = _small_init(nn.Linear(hidden, 3))
        with torch.no_grad():
            self.output.bias[0] = presence

    def forward(self, maps: Maps, view: Tensor) -> ObjectLocation:
        """Predict the location.

        Args:
            maps: feature maps of the step.
            view: (B, 2), cosine and sine of the camera's azimuth.
        """
        fine, coarse = maps.fine.float(), maps.coarse.float().flatten(2)
        votes = self.vote(fine)
        attention = torch.softmax(votes[:, 0].flatten(1), dim=-1)  # (B, cells)
        places = (_centres(votes) + votes[:, 1:]).flatten(2)
        if self.several and not self.training:
            attention = _restrict_to_mode(attention, places)
        cell = (places * attention[:, None]).sum(-1)
        local = torch.einsum("bcn,bn->bc", fine.flatten(2), attention)
        around = [coarse.mean(-1), coarse.amax(-1), 2 * cell / votes.shape[-1] - 1, view]
        features = self.norm(torch.relu(self.hidden(torch.cat([local, *around], dim=-1))))
        encoding = self.output(features)
        return ObjectLocation(cell * STRIDE, encoding[:, 0], encoding[:, 1:], features)


class ObjectHead(nn.Module):
    """Predicts kind and orientation of an object from its glimpse and the features of its location.

    No gradient flows to the location's features: gradients of sub-pixel positions are about a hundred times
    those of orientations and would dominate shared features.
    """

    def __init__(
        self, features: int, glimpse: int, hidden: int, kinds: int, orientation: int, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(features + glimpse, hidden)
        self.norm = Normed(hidden, activation)
        self.sizes = [kinds, orientation]
        self.output = _small_init(nn.Linear(hidden, sum(self.sizes)))

    def forward(self, location: ObjectLocation, glimpse: Tensor) -> ObjectParameters:
        """Predict all parameters of the object.

        Args:
            location: the predicted location.
            glimpse: (B, G), features of the window around it.
        """
        hidden = self.norm(self.hidden(torch.cat([location.features.detach(), glimpse], dim=-1)))
        identity, orientation = self.output(hidden).split(self.sizes, dim=-1)
        return ObjectParameters(location.pixel, location.presence, identity, location.raw_std, orientation)


def _restrict_to_mode(attention: Tensor, places: Tensor) -> Tensor:
    """Restrict attention (B, cells) to cells whose votes `places` (B, 2, cells) agree with the top cell's."""
    first = attention.argmax(-1)[:, None, None].expand(-1, 2, 1)
    apart = (places - places.gather(2, first)).square().sum(1)
    agreeing = attention * (apart <= MODE_RADIUS**2)
    return agreeing / agreeing.sum(-1, keepdim=True)


def _small_init(layer: nn.Linear) -> nn.Linear:
    """Initialise a linear layer with small outputs."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
    return layer


def _centres(like: Tensor) -> Tensor:
    """Column and row of each cell's centre, in cells: (2, h, w)."""
    height, width = like.shape[-2:]
    down = torch.arange(height, device=like.device, dtype=like.dtype) + 0.5
    right = torch.arange(width, device=like.device, dtype=like.dtype) + 0.5
    row, column = torch.meshgrid(down, right, indexing="ij")
    return torch.stack([column, row])


MIN_STD_SHARE, MAX_STD_SHARE = 1e-3, 0.5
"""Bounds of a posterior's standard deviation, as shares of the prior's width; wider ones train no mean."""
MIN_ROTATION_STD, MAX_ROTATION_STD, MAX_ROTATION_OFFSET = 0.03, 0.25, 0.8
"""Bounds of a rotation component's standard deviation and of its distance from its initial rotation, radians.
Wider components would average over the repetitions of a texture and receive no gradient."""
MIN_CONCENTRATION, MAX_CONCENTRATION = 1e-3, 5000.0
YAW_PARAMETERS, ROTATION_PARAMETERS = 3, 5
"""Parameters per component: a logit and a vector; or a logit, a rotation vector and a width."""

Orientation = VonMisesMixture | RotationMixture


class ObjectPosterior(NamedTuple):
    """The posterior of one object of each of B images, given the camera and the previous objects.

    Attributes:
        presence: (B,), logit of presence.
        identity: (B, K), log-probabilities of kinds.
        position: distribution of positions (B, 2) on the scene's plane, metres.
        orientation: distribution of yaws (B,), radians, or of rotations (B, 3, 3).
    """

    presence: Tensor
    identity: Tensor
    position: TruncatedNormal
    orientation: Orientation

    def log_prob(
        self,
        asset: Tensor,
        position: Tensor,
        orientation: Tensor,
        space: SceneSpace,
        mixture: DefensiveMixture = NO_MIXTURE,
    ) -> Tensor:
        """Log density of objects that are present: (B,), nats.

        Args:
            asset: (B,), kinds.
            position: (B, 2), metres.
            orientation: (B,) yaws in radians or (B, 3, 3) rotations; ignored for kinds without an observable
                orientation.
            space: defines the symmetries of the kinds.
            mixture: uniform component mixed into each of the three distributions.
        """
        named = log_prob_mixture(Categorical(self.identity), asset, mixture)
        oriented = torch.where(
            space.orientation_observable[asset],
            log_prob_mixture(self.visible_orientation(asset, space), orientation, mixture),
            0.0,
        )
        return named + log_prob_mixture(self.position, position, mixture) + oriented

    def visible_orientation(self, asset: Tensor, space: SceneSpace) -> Orientation | SymmetricRotations:
        """The distribution of orientations of kinds (B,), modulo their symmetry."""
        if isinstance(self.orientation, RotationMixture):
            return SymmetricRotations(
                self.orientation, space.symmetry_group[asset], space.log_symmetry_weight[asset]
            )
        return self.orientation

    def log_presence(self, present: Tensor) -> Tensor:
        """Log-probability of presence where `present` (B,) holds, and of absence elsewhere: (B,)."""
        return logsigmoid(torch.where(present, self.presence, -self.presence))


def camera_posterior(numbers: CameraParameters, space: SceneSpace) -> TruncatedNormal:
    """Build the posterior of the free parameters among azimuth, elevation and distance: (B, F)."""
    low, high = space.orbit_low[space.free], space.orbit_high[space.free]
    share = clamp_straight_through(0.5 + 0.25 * numbers.centre[:, space.free], 0.0, 1.0)
    std = _std_share(numbers.raw_std[:, space.free])
    return TruncatedNormal(low + (high - low) * share, (high - low) * std, low, high)


def object_posterior(
    numbers: ObjectParameters, camera: CameraBatch, azimuth: Tensor, space: SceneSpace
) -> ObjectPosterior:
    """Build the posterior of an object from a step's parameters.

    The pixel is projected along its ray to the scene's plane, and yaws are relative to the camera's azimuth,
    so that the network need not know the camera's pose.


    Args:
        numbers: the parameters.
        camera: the cameras.
        azimuth: (B,), azimuth of the cameras, radians.
        space: the scene space.
    """
    mean = clamp_straight_through(space.plane_from_pixel(numbers.pixel, camera), -space.reach, space.reach)
    std = 2 * space.reach * _std_share(numbers.raw_std)
    position = TruncatedNormal(mean, std.expand_as(mean), -space.reach, space.reach)
    orientation = _rotation(numbers.orientation) if space.floating else _yaw(numbers.orientation, azimuth)
    identity = torch.log_softmax(numbers.identity, dim=-1)
    return ObjectPosterior(numbers.presence, identity, position, orientation)


def clamp_straight_through(value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Clamp values with a straight-through gradient.

    A saturating function would give no gradient to values far outside the bounds, as of untrained networks.
    """
    held: Tensor = value.clamp(low, high)  # type: ignore[arg-type]
    return held.detach() + (value - value.detach())  # exactly zero


def _std_share(raw: Tensor) -> Tensor:
    return clamp_straight_through(raw - 2, math.log(MIN_STD_SHARE), math.log(MAX_STD_SHARE)).exp()


def orientation_parameters(components: int, floating: bool) -> int:
    """The number of parameters of an orientation's posterior."""
    return components * (ROTATION_PARAMETERS if floating else YAW_PARAMETERS)


def _yaw(numbers: Tensor, azimuth: Tensor) -> VonMisesMixture:
    """Build a mixture over yaws; the vector of a component has its mean direction and its concentration.

    These are the natural parameters, in which the log density is concave. With separate direction and
    concentration, directions of low concentration would receive no gradient.
    """
    logits, x, y = numbers.reshape(len(numbers), -1, YAW_PARAMETERS).unbind(-1)
    spread = torch.linspace(0, 2 * torch.pi, logits.shape[-1] + 1, device=logits.device)[:-1].to(logits)
    x, y = x + 0.5 * spread.cos(), y + 0.5 * spread.sin()  # initial directions of components differ
    length = torch.sqrt(x.square() + y.square() + 1e-12)
    concentration = clamp_straight_through(length * (1 + length), MIN_CONCENTRATION, MAX_CONCENTRATION)
    return VonMisesMixture(logits, torch.atan2(y, x) + azimuth[:, None], concentration)


def _rotation(numbers: Tensor) -> RotationMixture:
    """Build a mixture over rotations, with components that stay near initial rotations spread over SO(3).

    Distant orientations are therefore distinguished by the weights, and a component cannot converge to an
    ambiguous solution far away. Gradients of locations are scaled by the variance, as they grow like 1/std²
    and would dominate those of the weights (Seitzer et al. 2022, "On the pitfalls of heteroscedastic
    uncertainty estimation").
    """
    parts = numbers.reshape(len(numbers), -1, ROTATION_PARAMETERS)
    logits, away, raw_std = parts[..., 0], parts[..., 1:4], parts[..., 4]
    std = clamp_straight_through(raw_std - 0.9, math.log(MIN_ROTATION_STD), math.log(MAX_ROTATION_STD)).exp()
    away = clamp_straight_through(
        scale_gradient(away, (std.detach() / MAX_ROTATION_STD).square()[..., None]),
        -MAX_ROTATION_OFFSET,
        MAX_ROTATION_OFFSET,
    )
    anchors = spread_rotations(logits.shape[1]).to(parts)
    return RotationMixture(logits, anchors @ matrix_from_rotation_vector(away), std)


def scale_gradient(value: Tensor, rate: Tensor) -> Tensor:
    """Multiply the gradient by `rate` and leave the value unchanged."""
    return value.detach() + rate * (value - value.detach())
