"""Batches of orbit cameras and the projection of points, differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.geometry.transforms import invert, rigid_transform, transform_points
from inverse_graphics.scene.batch import CameraBatch


def orbit_cameras(orbit: Tensor, target: Tensor, K: Tensor, height: int, width: int) -> CameraBatch:
    """Build cameras as `scene.camera.orbit_pose` does; differentiable in `orbit`, `target` and `K`.

    Args:
        orbit: (B, 3): azimuth, radians, from X towards Y; elevation, radians above the horizontal, ±π/2
            included; distance, metres.
        target: (3,) or (B, 3), metres, world frame.
        K: (3, 3) or (B, 3, 3), pixels.
        height: pixels.
        width: pixels.

    Returns:
        B cameras.
    """
    outward, right = _outward(orbit), _right(orbit)
    forward = -outward
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-1)
    eye = target + orbit[:, 2:] * outward
    return CameraBatch(K.expand(len(orbit), 3, 3), rigid_transform(rotation, eye), height, width)


def _outward(orbit: Tensor) -> Tensor:
    """Unit vectors from the target to the camera, (B, 3)."""
    azimuth, elevation = orbit[:, 0], orbit[:, 1]
    level = elevation.cos()
    return torch.stack([azimuth.cos() * level, azimuth.sin() * level, elevation.sin()], dim=-1)


def _right(orbit: Tensor) -> Tensor:
    azimuth = orbit[:, 0]
    return torch.stack([-azimuth.sin(), azimuth.cos(), torch.zeros_like(azimuth)], dim=-1)


def project(points_world: Tensor, camera: CameraBatch) -> tuple[Tensor, Tensor]:
    """Project points to pixels.

    Args:
        points_world: (B, P, 3), metres.
        camera: B cameras.

    Returns:
        pixels (B, P, 2), column and row, where the centre of the upper left pixel is (0.5, 0.5); and depth
        (B, P), metres along the camera's z axis. A point at depth ≤ 0 is behind the camera, and its pixel is
        undefined.
    """
    points_camera = transform_points(invert(camera.T_world_camera), points_world)
    homogeneous = points_camera @ camera.K.transpose(-1, -2)
    depth = points_camera[..., 2]
    return homogeneous[..., :2] / depth[..., None], depth


def depth_before(points_world: Tensor, camera: CameraBatch) -> Tensor:
    """Depth of points along the camera's z axis: (B, P), metres.

    Args:
        points_world: (B, P, 3), metres.
    """
    pose = camera.T_world_camera[:, None]
    return ((points_world - pose[..., :3, 3]) * pose[..., :3, 2]).sum(dim=-1)
