"""From points in the world to pixels."""

from __future__ import annotations

from torch import Tensor

from inverse_graphics.geometry.transform import invert, transform_points
from inverse_graphics.scene.batch import CameraBatch


def project(points_world: Tensor, camera: CameraBatch) -> tuple[Tensor, Tensor]:
    """Project points into pictures.

    points_world: (B, P, 3), metres.  Returns pixels (B, P, 2), column and row, where the centre of the upper
    left pixel is (0.5, 0.5); and depth (B, P), metres along the camera's z axis. A point at depth ≤ 0 is
    behind the camera, and its pixel means nothing.
    """
    points_camera = transform_points(invert(camera.T_world_camera), points_world)
    homogeneous = points_camera @ camera.K.transpose(-1, -2)
    depth = points_camera[..., 2]
    return homogeneous[..., :2] / depth[..., None], depth
