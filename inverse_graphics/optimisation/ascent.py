"""Gradient ascent in the continuous latents of scenes: positions, orientations and free camera parameters.

The objective is a surrogate of the log-likelihood, less a penalty for objects that overlap.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.models.air3d.scene_latents import nearest_first
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.model import ObservationModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.optimisation.settings import OptimiseSettings


class Poses(NamedTuple):
    """The optimised variables of B scenes, leaves of the autograd graph.

    Attributes:
        position: (B, N, 2), metres.
        orientation: (B, N, 1) yaws, or (B, N, 3) rotation vectors in the objects' own frames, radians,
            relative to the initial orientations.
        angles: (B, 2), the camera's azimuth and elevation, radians.
        distance: (B, 1), of the camera, metres.
    """

    position: Tensor
    orientation: Tensor
    angles: Tensor
    distance: Tensor

    @classmethod
    def from_latents(cls, scenes: SceneLatents) -> Poses:
        """The poses of some scenes."""
        position, orbit = scenes.position.detach().clone(), scenes.orbit.detach().clone()
        orientation = position.new_zeros(*scenes.asset.shape, 1 if scenes.orientation.dim() == 2 else 3)
        return cls(
            *(part.requires_grad_() for part in (position, orientation, orbit[:, :2].clone(), orbit[:, 2:]))
        )

    def put(self, scenes: SceneLatents) -> SceneLatents:
        """The initial `scenes` with these poses."""
        orbit = torch.cat([self.angles, self.distance], dim=-1)
        if scenes.orientation.dim() == 2:
            orientation = scenes.orientation + self.orientation[..., 0]
        else:
            orientation = scenes.orientation @ matrix_from_rotation_vector(self.orientation)
        return scenes.replace(orbit=orbit, position=self.position, orientation=orientation)

    def confine(self, space: SceneSpace) -> None:
        """Clamp positions and the camera to the family's bounds; fixed parameters do not change."""
        low, high = space.orbit_low, space.orbit_high
        with torch.no_grad():
            self.position.clamp_(-space.reach, space.reach)
            self.angles.clamp_(low[:2], high[:2])
            self.distance.clamp_(low[2:], high[2:])


class Ascent:
    """Adam (Kingma and Ba 2015) for many scenes at once, with learning rates that decrease geometrically."""

    def __init__(self, poses: Poses, settings: OptimiseSettings) -> None:
        orientation, camera = (
            math.radians(settings.orientation_degrees),
            math.radians(settings.camera_degrees),
        )
        self._lengths = (settings.position_m, orientation, camera, settings.camera_m)
        groups = [{"params": [part], "lr": 0.0} for part in poses]
        self._adam, self._poses = torch.optim.Adam(groups, betas=(0.8, 0.95)), poses
        self._last_share = settings.last_share

    def step(self, value: Tensor, progress: float) -> None:
        """Take one step that increases `value`, (B,); `progress` in [0, 1] sets the learning rates."""
        gradients = torch.autograd.grad(-value.sum(), list(self._poses), allow_unused=True)
        for part, gradient in zip(self._poses, gradients, strict=True):
            part.grad = torch.zeros_like(part) if gradient is None else gradient.nan_to_num(0, 0, 0)
        for group, length in zip(self._adam.param_groups, self._lengths, strict=True):
            group["lr"] = length * self._last_share**progress
        self._adam.step()


NATS_PER_METRE = 6000.0
"""Penalty on interpenetration during gradient ascent, which pushes overlapping objects apart."""


def log_prior(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """log p(scene), for any order of the slots: (B,), nats; not differentiable."""
    with torch.no_grad():
        ordered = nearest_first(scenes, space)
        return space.family.log_prob(ordered).gather(1, ordered.counts[:, None])[:, 0]


def surrogate(
    observation: Observation,
    render: Rendered,
    scenes: SceneLatents,
    space: SceneSpace,
    model: ObservationModel,
    levels: int,
) -> Tensor:
    """The objective: the likelihood at `levels` scales less the penalty on interpenetration: (B,), nats."""
    crowding = NATS_PER_METRE * space.family.overlap(scenes)[:, -1]
    return model.pyramid(levels).log_prob(observation, render) - crowding
