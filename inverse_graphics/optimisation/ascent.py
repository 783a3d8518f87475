"""Gradient ascent of what is continuous in scenes: places, turns, and whatever is free of the camera."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.geometry.rotation import matrix_from_rotation_vector
from inverse_graphics.models.air3d.stage import Stage
from inverse_graphics.models.air3d.staged import StagedScenes
from inverse_graphics.optimisation.settings import OptimiseSettings


class Poses(NamedTuple):
    """What moves of B scenes: leaves of the graph.

    position: (B, N, 2), metres.  turn: (B, N, 1) yaws, or (B, N, 3) rotation vectors in the objects' own
    frames, radians, from where they began.  angles: (B, 2), azimuth and elevation.  distance: (B, 1).
    """

    position: Tensor
    turn: Tensor
    angles: Tensor
    distance: Tensor

    @classmethod
    def of(cls, scenes: StagedScenes) -> Poses:
        """Where they are."""
        position, orbit = scenes.position.detach().clone(), scenes.orbit.detach().clone()
        turn = position.new_zeros(*scenes.asset.shape, 1 if scenes.turn.dim() == 2 else 3)
        return cls(*(part.requires_grad_() for part in (position, turn, orbit[:, :2].clone(), orbit[:, 2:])))

    def put(self, scenes: StagedScenes) -> StagedScenes:
        """`scenes`, from where these poses began, as these poses are."""
        orbit = torch.cat([self.angles, self.distance], dim=-1)
        if scenes.turn.dim() == 2:
            turn = scenes.turn + self.turn[..., 0]
        else:
            turn = scenes.turn @ matrix_from_rotation_vector(self.turn)
        return StagedScenes(orbit, scenes.asset, self.position, turn)

    def confine(self, stage: Stage) -> None:
        """Move what has left the family's extent back to its border; what is fixed stays where it is."""
        low, high = stage.orbit_low, stage.orbit_high
        with torch.no_grad():
            self.position.clamp_(-stage.reach, stage.reach)
            self.angles.clamp_(low[:2], high[:2])
            self.distance.clamp_(low[2:], high[2:])


class Ascent:
    """Steps of Adam (Kingma and Ba 2015) for many scenes at once, of lengths that fall geometrically."""

    def __init__(self, poses: Poses, settings: OptimiseSettings) -> None:
        turn, camera = math.radians(settings.turn_degrees), math.radians(settings.camera_degrees)
        self._lengths = (settings.position_m, turn, camera, settings.camera_m)
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
