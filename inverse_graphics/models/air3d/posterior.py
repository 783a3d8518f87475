"""What the network believes of a camera and of one object, as distributions.

From maps to numbers: where the next object is in the picture, and everything else that is said of it.

Numbers are computed in float32 whatever the maps were computed in: places need more than eight bits.
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
"""Cells; two votes no farther apart are for the same place."""


class CameraParameters(NamedTuple):
    """centre: (B, 3), logits of where in its range each number of the orbit is.  raw_std: (B, 3)."""

    centre: Tensor
    raw_std: Tensor


class CameraHead(nn.Module):
    """Reads azimuth, elevation and distance off the whole coarse map."""

    SQUEEZED = 16

    def __init__(self, channels: int, cells: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, self.SQUEEZED, 1)
        self.hidden = nn.Linear(self.SQUEEZED * cells, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.say = _small_init(nn.Linear(hidden, 6))

    def forward(self, maps: Maps) -> CameraParameters:
        """maps: of the image."""
        squeezed = torch.relu(self.squeeze(maps.coarse.float())).flatten(1)
        hidden = self.norm(torch.relu(self.hidden(squeezed)))
        return CameraParameters(*self.say(hidden).chunk(2, dim=-1))


class ObjectParameters(NamedTuple):
    """What a step says of the next object, unbounded unless noted.

    Attributes:
        pixel: (B, 2), column and row of its origin in the picture, pixels.
        presence: (B,), logit.
        identity: (B, K), logits.
        raw_std: (B, 2), of its position.
        orientation: (B, T), the turn's parameters.
    """

    pixel: Tensor
    presence: Tensor
    identity: Tensor
    raw_std: Tensor
    orientation: Tensor


class Place(NamedTuple):
    """Where the next object is, if there is one.

    Attributes:
        pixel: (B, 2), column and row of its origin in the picture.
        presence: (B,), logit.
        raw_std: (B, 2).
        seen: (B, F), what is seen there and all around.
    """

    pixel: Tensor
    presence: Tensor
    raw_std: Tensor
    seen: Tensor


class PlaceHead(nn.Module):
    """Looks at one place in the picture, softly, and at all of it, coarsely.

    The place is an attention over the fine map's cells; each cell votes for where the origin lies from it.
    What is seen is the attended features and the coarse map's mean and maximum. Once trained, only cells
    count that vote for the place of the most attended one: between two objects just as near there is none.
    Where there are never `several` objects, all cells go on to count.
    """

    def __init__(self, fine: int, coarse: int, hidden: int, presence: float, several: bool = True) -> None:
        super().__init__()
        self.several = several
        self.vote = nn.Conv2d(fine, 3, 1)  # attention's logit, then the offset in cells
        self.hidden = nn.Linear(fine + 2 * coarse + 4, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.say = _small_init(nn.Linear(hidden, 3))
        with torch.no_grad():
            self.say.bias[0] = presence

    def forward(self, maps: Maps, view: Tensor) -> Place:
        """view: (B, 2), cosine and sine of the camera's azimuth."""
        fine, coarse = maps.fine.float(), maps.coarse.float().flatten(2)
        votes = self.vote(fine)
        attention = torch.softmax(votes[:, 0].flatten(1), dim=-1)  # (B, cells)
        places = (_centres(votes) + votes[:, 1:]).flatten(2)
        if self.several and not self.training:
            attention = _restrict_to_mode(attention, places)
        cell = (places * attention[:, None]).sum(-1)
        local = torch.einsum("bcn,bn->bc", fine.flatten(2), attention)
        around = [coarse.mean(-1), coarse.amax(-1), 2 * cell / votes.shape[-1] - 1, view]
        seen = self.norm(torch.relu(self.hidden(torch.cat([local, *around], dim=-1))))
        encoding = self.say(seen)
        return Place(cell * STRIDE, encoding[:, 0], encoding[:, 1:], seen)


class ObjectHead(nn.Module):
    """Says which object it is and how it is turned, from a glimpse of it.

    What is seen around it is shown too, but not taught by this: a place to a tenth of a pixel has gradients a
    hundred times as large as a turn has, and features learnt for both are learnt for the place alone.
    """

    def __init__(
        self, seen: int, glimpse: int, hidden: int, kinds: int, orientation: int, activation: str = "relu"
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(seen + glimpse, hidden)
        self.norm = Normed(hidden, activation)
        self.sizes = [kinds, orientation]
        self.say = _small_init(nn.Linear(hidden, sum(self.sizes)))

    def forward(self, place: Place, glimpse: Tensor) -> ObjectParameters:
        """glimpse: (B, G), features of the picture around the place."""
        hidden = self.norm(self.hidden(torch.cat([place.seen.detach(), glimpse], dim=-1)))
        identity, orientation = self.say(hidden).split(self.sizes, dim=-1)
        return ObjectParameters(place.pixel, place.presence, identity, place.raw_std, orientation)


def _restrict_to_mode(attention: Tensor, places: Tensor) -> Tensor:
    """Attention (B, cells) to those cells alone whose `places` (B, 2, cells) agree with that of the first."""
    first = attention.argmax(-1)[:, None, None].expand(-1, 2, 1)
    apart = (places - places.gather(2, first)).square().sum(1)
    agreeing = attention * (apart <= MODE_RADIUS**2)
    return agreeing / agreeing.sum(-1, keepdim=True)


def _small_init(layer: nn.Linear) -> nn.Linear:
    """Start by saying little."""
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
"""Bounds of a posterior's standard deviation, as shares of the prior's width; wider teach a mean nothing."""
MIN_ROTATION_STD, MAX_ROTATION_STD, MAX_ROTATION_OFFSET = 0.03, 0.25, 0.8
"""Bounds of a rotation's standard deviation, radians, and of how far it is from where its component begins.
If wider, a texture that repeats six times is the same to it however it is turned, and teaches nothing."""
MIN_CONCENTRATION, MAX_CONCENTRATION = 1e-3, 5000.0
YAW_PARAMETERS, ROTATION_PARAMETERS = 3, 5
"""Per component: its logit and a vector; or its logit, a rotation vector and its width."""

Orientation = VonMisesMixture | RotationMixture


class ObjectPosterior(NamedTuple):
    """q of one object of each of B images, given the camera and the objects before it.

    Attributes:
        presence: (B,), logit.
        identity: (B, K), log-probabilities.
        position: on the stage's plane, (B, 2), metres.
        orientation: its yaw, or its rotation.
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
        defence: DefensiveMixture = NO_MIXTURE,
    ) -> Tensor:
        """Log density of objects that are present: (B,), nats.

        Args:
            asset: (B,), kinds.
            position: (B, 2), metres.
            orientation: (B,) yaws in radians or (B, 3, 3) rotations; that of a kind which looks the same
                however it is turned does not count.
            defence: of a proposal that draws some of the three from anywhere.
        """
        named = log_prob_mixture(Categorical(self.identity), asset, defence)
        turned = torch.where(
            space.orientation_observable[asset],
            log_prob_mixture(self.visible_orientation(asset, space), orientation, defence),
            0.0,
        )
        return named + log_prob_mixture(self.position, position, defence) + turned

    def visible_orientation(self, asset: Tensor, space: SceneSpace) -> Orientation | SymmetricRotations:
        """The turn of objects of these kinds (B,) as far as it can be seen."""
        if isinstance(self.orientation, RotationMixture):
            return SymmetricRotations(
                self.orientation, space.symmetry_group[asset], space.log_symmetry_weight[asset]
            )
        return self.orientation

    def log_presence(self, present: Tensor) -> Tensor:
        """Log-probability that there is a next object, or, where not `present`, that there is none: (B,)."""
        return logsigmoid(torch.where(present, self.presence, -self.presence))


def camera_posterior(numbers: CameraParameters, space: SceneSpace) -> TruncatedNormal:
    """Over those of azimuth, elevation and distance that are free: (B, F)."""
    low, high = space.orbit_low[space.free], space.orbit_high[space.free]
    share = clamp_straight_through(0.5 + 0.25 * numbers.centre[:, space.free], 0.0, 1.0)
    std = _std_share(numbers.raw_std[:, space.free])
    return TruncatedNormal(low + (high - low) * share, (high - low) * std, low, high)


def object_posterior(
    numbers: ObjectParameters, camera: CameraBatch, azimuth: Tensor, space: SceneSpace
) -> ObjectPosterior:
    """Turn a step's numbers into distributions.

    The place in the picture is carried along its ray to the stage's plane, and a yaw is told as the camera
    sees it: so the network need not know where the camera stands.


    Args:
        camera: from where it is seen; azimuth: (B,), radians.
    """
    mean = clamp_straight_through(space.plane_from_pixel(numbers.pixel, camera), -space.reach, space.reach)
    std = 2 * space.reach * _std_share(numbers.raw_std)
    position = TruncatedNormal(mean, std.expand_as(mean), -space.reach, space.reach)
    orientation = _rotation(numbers.orientation) if space.floating else _yaw(numbers.orientation, azimuth)
    identity = torch.log_softmax(numbers.identity, dim=-1)
    return ObjectPosterior(numbers.presence, identity, position, orientation)


def clamp_straight_through(value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """The nearest value within bounds; the gradient passes as if nothing had been moved.

    A function that saturates would stop teaching what has run far out, as fresh networks do.
    """
    held: Tensor = value.clamp(low, high)  # type: ignore[arg-type]
    return held.detach() + (value - value.detach())  # zero, to the last bit


def _std_share(raw: Tensor) -> Tensor:
    return clamp_straight_through(raw - 2, math.log(MIN_STD_SHARE), math.log(MAX_STD_SHARE)).exp()


def orientation_parameters(components: int, floating: bool) -> int:
    """How many numbers a turn's posterior takes."""
    return components * (ROTATION_PARAMETERS if floating else YAW_PARAMETERS)


def _yaw(numbers: Tensor, azimuth: Tensor) -> VonMisesMixture:
    """Each component by a vector: it points to the yaw, and the longer it is, the surer it is.

    Around zero these are the natural parameters, in which the density is concave: a direction and a
    concentration apart would leave an unsure direction nothing to learn from.
    """
    logits, x, y = numbers.reshape(len(numbers), -1, YAW_PARAMETERS).unbind(-1)
    spread = torch.linspace(0, 2 * torch.pi, logits.shape[-1] + 1, device=logits.device)[:-1].to(logits)
    x, y = x + 0.5 * spread.cos(), y + 0.5 * spread.sin()  # components begin in different directions
    length = torch.sqrt(x.square() + y.square() + 1e-12)
    concentration = clamp_straight_through(length * (1 + length), MIN_CONCENTRATION, MAX_CONCENTRATION)
    return VonMisesMixture(logits, torch.atan2(y, x) + azimuth[:, None], concentration)


def _rotation(numbers: Tensor) -> RotationMixture:
    """Components about rotations spread over all of them, each of which moves only in its neighbourhood.

    So it is by weights that far orientations are told apart, and a component cannot follow a branch of its
    own, such as an axis without its sign, wherever it leads. Nor do locations learn faster the surer they
    are: their gradient grows like 1/std² and would drown the weights' (Seitzer et al. 2022, "On the pitfalls
    of heteroscedastic uncertainty estimation", whose remedy this is).
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
    """The same value, whose gradient is `rate` times as large."""
    return value.detach() + rate * (value - value.detach())
