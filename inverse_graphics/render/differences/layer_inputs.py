"""All that layers depend on, as it is seen from the camera: neither world nor pose of the camera are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch


class LayerInputs(NamedTuple):
    """What layers can be differentiated by; everything in the camera's frame.

    position: (B, N, 3), metres.  rotation: (B, N, 3, 3), camera from object.  scale: (B, N).
    tint: (B, N, 3).  direction: (B, 3), unit, towards the light.  diffuse, ambient: (B, 3).
    """

    position: Tensor
    rotation: Tensor
    scale: Tensor
    tint: Tensor
    direction: Tensor
    diffuse: Tensor
    ambient: Tensor

    @classmethod
    def seen_from(cls, camera: CameraBatch, objects: ObjectBatch, light: LightBatch) -> LayerInputs:
        """Turn the world into the camera's frame; differentiable in all poses."""
        rotation, eye = camera.T_world_camera[:, :3, :3], camera.T_world_camera[:, None, :3, 3]
        return cls(
            position=(objects.position - eye) @ rotation,
            rotation=rotation.transpose(1, 2)[:, None] @ objects.rotation,
            scale=objects.scale,
            tint=objects.tint,
            direction=(light.direction[:, None] @ rotation)[:, 0],
            diffuse=light.diffuse,
            ambient=light.ambient,
        )


@dataclass(frozen=True)
class View:
    """What layers are never differentiated by.

    asset: (B, N).  K: (B, 3, 3), pixels.  height, width: pixels.
    """

    asset: Tensor
    K: Tensor
    height: int
    width: int

    def arguments(self, inputs: LayerInputs) -> tuple[ObjectBatch, CameraBatch, LightBatch]:
        """What an engine is to draw: a world of which the camera's frame is the origin."""
        pose = torch.eye(4, dtype=self.K.dtype, device=self.K.device).expand(len(self.K), 4, 4)
        return (
            ObjectBatch(self.asset, inputs.position, inputs.rotation, inputs.scale, inputs.tint),
            CameraBatch(self.K, pose, self.height, self.width),
            LightBatch(inputs.direction, inputs.diffuse, inputs.ambient),
        )

    def part(self, scenes: slice) -> View:
        """Some of the B scenes; copied, as a part of a tensor is pickled with all that it is a part of."""
        return View(self.asset[scenes].clone(), self.K[scenes].clone(), self.height, self.width)
