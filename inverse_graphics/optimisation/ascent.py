"""Gradient ascent of what is continuous in scenes: places, turns, and whatever is free of the camera.

What is climbed: how well scenes explain images, and how probable they were before.
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
    """What moves of B scenes: leaves of the graph.

    Attributes:
        position: (B, N, 2), metres.
        orientation: (B, N, 1) yaws, or (B, N, 3) rotation vectors in the objects' own frames, radians, from
            where they began.
        angles: (B, 2), azimuth and elevation.
        distance: (B, 1).
    """

    position: Tensor
    orientation: Tensor
    angles: Tensor
    distance: Tensor

    @classmethod
    def from_latents(cls, scenes: SceneLatents) -> Poses:
        """Where they are."""
        position, orbit = scenes.position.detach().clone(), scenes.orbit.detach().clone()
        orientation = position.new_zeros(*scenes.asset.shape, 1 if scenes.orientation.dim() == 2 else 3)
        return cls(
            *(part.requires_grad_() for part in (position, orientation, orbit[:, :2].clone(), orbit[:, 2:]))
        )

    def put(self, scenes: SceneLatents) -> SceneLatents:
        """`scenes`, from where these poses began, as these poses are."""
        orbit = torch.cat([self.angles, self.distance], dim=-1)
        if scenes.orientation.dim() == 2:
            orientation = scenes.orientation + self.orientation[..., 0]
        else:
            orientation = scenes.orientation @ matrix_from_rotation_vector(self.orientation)
        return scenes.replace(orbit=orbit, position=self.position, orientation=orientation)

    def confine(self, space: SceneSpace) -> None:
        """Move what has left the family's extent back to its border; what is fixed stays where it is."""
        low, high = space.orbit_low, space.orbit_high
        with torch.no_grad():
            self.position.clamp_(-space.reach, space.reach)
            self.angles.clamp_(low[:2], high[:2])
            self.distance.clamp_(low[2:], high[2:])


class Ascent:
    """Steps of Adam (Kingma and Ba 2015) for many scenes at once, of lengths that fall geometrically."""

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
        """Make `value` (B,) greater."""
        gradients = torch.autograd.grad(-value.sum(), list(self._poses), allow_unused=True)
        for part, gradient in zip(self._poses, gradients, strict=True):
            part.grad = torch.zeros_like(part) if gradient is None else gradient.nan_to_num(0, 0, 0)
        for group, length in zip(self._adam.param_groups, self._lengths, strict=True):
            group["lr"] = length * self._last_share**progress
        self._adam.step()


NATS_PER_METRE = 6000.0
"""What objects that come too close to each other cost while they are moved, so that they part."""


def log_prior(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """log p(scene), objects in any slots: (B,), nats; not differentiable."""
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
    """What gradients are taken of: likelihood at `levels` scales, less what crowding costs: (B,)."""
    crowding = NATS_PER_METRE * space.family.overlap(scenes)[:, -1]
    return model.pyramid(levels).log_prob(observation, render) - crowding
