"""The quantities of scenes that metrics compare: objects, their poses, and the camera's pose."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.errors import SceneError
from inverse_graphics.scene.batch import SceneBatch


@dataclass(frozen=True)
class PredictedScenes:
    """B scenes of up to N objects, true or inferred; the order of the slots is arbitrary.

    Attributes:
        count: (B,) int64, the number of filled slots.
        asset: (B, N) int64, index of the kind, −1 where empty.
        position: (B, N, 3), metres, world.
        rotation: (B, N, 3, 3), world from object.
        T_world_camera: (B, 4, 4), OpenCV axes. Values of empty slots are ignored.

    Raises:
        SceneError: shapes that do not fit together, or a count that is not that of the filled slots.

    """

    count: Tensor
    asset: Tensor
    position: Tensor
    rotation: Tensor
    T_world_camera: Tensor

    def __post_init__(self) -> None:
        if self.asset.ndim != 2:
            raise SceneError(f"asset: got {self.asset.ndim} dimensions, expected 2: image and slot")
        B, N = self.asset.shape
        expected = {
            "count": (B,),
            "position": (B, N, 3),
            "rotation": (B, N, 3, 3),
            "T_world_camera": (B, 4, 4),
        }
        for name, shape in expected.items():
            if tuple(getattr(self, name).shape) != shape:
                got = tuple(getattr(self, name).shape)
                raise SceneError(f"{name}: got shape {got}, expected {shape}, as asset is (B, N)")
        if not torch.equal(self.count, (self.asset >= 0).sum(-1).to(self.count)):
            raise SceneError(
                "count: differs from the number of slots whose asset is not −1; set asset to −1 there"
            )

    @classmethod
    def from_batch(cls, scenes: SceneBatch) -> PredictedScenes:
        """Extract these quantities from a batch of scenes."""
        objects = scenes.objects
        count = (objects.asset >= 0).sum(-1)
        return cls(count, objects.asset, objects.position, objects.rotation, scenes.camera.T_world_camera)

    def to_float64(self) -> PredictedScenes:
        """Copy to the CPU in double precision, without gradient.

        Raises:
            SceneError: a pose that is not finite.
        """
        filled = self.asset >= 0
        for name, used in (("position", filled), ("rotation", filled), ("T_world_camera", slice(None))):
            if not getattr(self, name)[used].isfinite().all():
                raise SceneError(f"{name}: not finite in some scene, expected finite numbers")
        real = (self.position, self.rotation, self.T_world_camera)
        position, rotation, pose = (value.detach().to("cpu", torch.float64) for value in real)
        return PredictedScenes(self.count.cpu(), self.asset.cpu(), position, rotation, pose)
