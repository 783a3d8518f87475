"""Everything a layer's picture depends on besides its mesh: 21 numbers for each object."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch

PARAMETERS = 21


def layer_parameters(objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Tensor:
    """Fold pose, camera, light and tint of each object into one row; differentiable in all of them.

    Meshes are constant, so all gradients of a layer pass through these numbers.
    Returns (B·N, 21): [0:12] pixel_from_object, 3×4 by rows, which takes homogeneous object coordinates
    to (x·z, y·z, z) in pixels and metres; [12:15] direction towards the light, object frame;
    [15:18] ambient and [18:21] diffuse light, each times the object's tint.
    """
    camera_from_world = camera.T_world_camera[:, :3, :3].transpose(1, 2)
    pixel_from_world = (camera.K @ camera_from_world)[:, None]
    scaled = objects.rotation * objects.scale[..., None, None]
    offset = objects.position - camera.T_world_camera[:, None, :3, 3]
    pixel_from_object = pixel_from_world @ torch.cat([scaled, offset[..., None]], dim=-1)
    direction = light.direction[:, None, None, :] @ objects.rotation
    count = objects.asset.numel()
    return torch.cat(
        [
            pixel_from_object.reshape(count, 12),
            direction.reshape(count, 3),
            (light.ambient[:, None] * objects.tint).reshape(count, 3),
            (light.diffuse[:, None] * objects.tint).reshape(count, 3),
        ],
        dim=1,
    )
