"""Steps of finite differences, such that objects move by a given number of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector, rigid_transform

NEAREST = 0.01  # metres; smallest distance to the camera in the computation of steps
MOST_NEARER = 0.2  # largest step: share of the distance along the line of sight, or of the scale
MOST_RADIANS = 0.5
UPRIGHT = 0.9


@dataclass(frozen=True)
class DifferenceSettings:
    """Settings of differences.

    Attributes:
        step_px: largest displacement of a point in the image, pixels, to each side.
        light_radians: rotation of lights' directions.
        colour: change of tints and lights; images are linear in them, so that it matters only for engines
            that round.
    """

    step_px: float = 0.5
    light_radians: float = 0.1
    colour: float = 0.1

    def __post_init__(self) -> None:
        if not (self.step_px > 0 and 0 < self.light_radians < 1 and self.colour > 0):
            raise EngineError(
                f"steps of {self.step_px} pixels, {self.light_radians} radians of light and "
                f"{self.colour} of colour: expected positive numbers, and less than one radian"
            )


@dataclass(frozen=True)
class StepSchedule:
    """A schedule from long steps, with a wide range, to short ones, which are more accurate.

    Attributes:
        first_px: pixels, at the start of training.
        last_px: pixels, at its end.
    """

    first_px: float = 2.0
    last_px: float = 0.5

    def step_px(self, progress: float) -> float:
        """The step at a share `progress` of training, in [0, 1]: a geometric series."""
        over = min(max(progress, 0.0), 1.0)
        return float(self.first_px * (self.last_px / self.first_px) ** over)


class PoseSteps(NamedTuple):
    """Steps of objects, by slot: (B, N).

    Attributes:
        axes: (B, N, 3, 3), rows: two directions across the line of sight and the one along it, unit length,
            camera's frame.
        metres: (B, N, 3), along each.
        radians: (B, N), rotation about any axis.
        growth: (B, N), change of the scale, as a share of it.
    """

    axes: Tensor
    metres: Tensor
    radians: Tensor
    growth: Tensor

    @classmethod
    def from_pixels(cls, position: Tensor, radius: Tensor, K: Tensor, step_px: float) -> PoseSteps:
        """Convert a step in pixels to metres and radians.

        Args:
            position: (B, N, 3), metres, camera frame.
            radius: (B, N), metres, of the bounding sphere about an object's origin.
            K: (B, 3, 3), pixels.
            step_px: pixels.
        """
        distance = position.norm(dim=-1).clamp(min=NEAREST)
        pixel = distance / (K[:, 0, 0] * K[:, 1, 1]).sqrt()[:, None]
        share = step_px * pixel / radius.clamp(min=torch.finfo(radius.dtype).tiny)
        nearer = share.clamp(max=MOST_NEARER)
        across = step_px * pixel
        return cls(
            axes=_about_line_of_sight(position),
            metres=torch.stack([across, across, nearer * distance], dim=-1),
            radians=share.clamp(max=MOST_RADIANS),
            growth=nearer,
        )


def _about_line_of_sight(position: Tensor) -> Tensor:
    """Right-handed axes (…, 3, 3) by rows, the last from the camera to `position`."""
    length = position.norm(dim=-1, keepdim=True)
    forward = position.new_tensor([0.0, 0.0, 1.0]).expand_as(position)
    sight = torch.where(length > 0, position / torch.where(length > 0, length, 1.0), forward)
    x, y = sight.new_tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    beside = torch.where(sight[..., :1].abs() < UPRIGHT, x, y)
    first = torch.nn.functional.normalize(beside - (beside * sight).sum(-1, keepdim=True) * sight, dim=-1)
    return torch.stack([first, torch.linalg.cross(sight, first, dim=-1), sight], dim=-2)


def tangents(direction: Tensor) -> Tensor:
    """Two unit vectors (…, 2, 3) across directions (…, 3)."""
    return _about_line_of_sight(direction)[..., :2, :]


def rotated(rotation: Tensor, axis: int, radians: Tensor) -> Tensor:
    """Rotate rotations (…, 3, 3) about an axis of their target frame.

    Args:
        radians: (…).
    """
    vector = torch.zeros(*radians.shape, 3, dtype=radians.dtype, device=radians.device)
    vector[..., axis] = radians
    return matrix_from_rotation_vector(vector) @ rotation


def rotation_gradient(slopes: Tensor, rotation: Tensor) -> Tensor:
    """The shortest gradient (…, 3, 3) in a rotation's entries that has given derivatives.

    Args:
        slopes: (…, 3), per radian about each axis of the rotation's target frame.
        rotation: R. A small rotation by δ adds [δ]× R to R, and the inner product of ½ [g]× R with that is g
            · δ.
    """
    x, y, z = slopes.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2) @ rotation / 2


def moved_cameras(T_world_camera: Tensor, move: Tensor, angles: Tensor) -> Tensor:
    """Translate and rotate cameras (B, 4, 4) along and about their own axes.

    Args:
        move: (B, 3), metres.
        angles: (B, 3), radians.
    """
    return T_world_camera @ rigid_transform(matrix_from_rotation_vector(angles), move)
