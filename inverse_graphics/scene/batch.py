"""The padded tensor form of a batch of scenes: what engines render and networks infer.

A batch has B scenes of N object slots each; an empty slot has `asset` −1 and is never rendered.
All tensors of a batch share one device and, where real-valued, one dtype. Frames and units: world is
right-handed, metres, Z up; cameras are OpenCV (x right, y down, z forward) with K in pixels, where pixel
(row r, column c) has its centre at (c + 0.5, r + 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from inverse_graphics.errors import SceneError
from inverse_graphics.geometry.transforms import matrix_from_quaternion, quaternion_from_matrix
from inverse_graphics.io.documents import validation_message
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.scene.scene import Background, Camera, Light, Scene, SceneObject, Table
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class ObjectBatch(TensorBatch):
    """Objects: their assets and poses.

    Attributes:
        asset: (B, N) int64, index into a `MeshLibrary`, −1 where the slot is empty.
        position: (B, N, 3), metres, world frame.
        rotation: (B, N, 3, 3), world from object.
        scale: (B, N), 1 for real size.
        tint: (B, N, 3), multiplies the albedo.
    """

    asset: Tensor
    position: Tensor
    rotation: Tensor
    scale: Tensor
    tint: Tensor


@dataclass(frozen=True)
class CameraBatch(TensorBatch):
    """Pinhole cameras.

    Attributes:
        K: (B, 3, 3), pixels.
        T_world_camera: (B, 4, 4), camera to world.
        height: pixels.
        width: pixels.
    """

    K: Tensor
    T_world_camera: Tensor
    height: int
    width: int


@dataclass(frozen=True)
class LightBatch(TensorBatch):
    """One directional light and an ambient one.

    Attributes:
        direction: (B, 3), unit, world frame, *towards* the light.
        diffuse: (B, 3), linear RGB; a surface of albedo a and unit normal n has colour a · (ambient + diffuse
            · max(0, n · direction)).
        ambient: (B, 3), linear RGB; a surface of albedo a and unit normal n has colour a · (ambient + diffuse
            · max(0, n · direction)).
    """

    direction: Tensor
    diffuse: Tensor
    ambient: Tensor


@dataclass(frozen=True)
class TableBatch(TensorBatch):
    """Rectangular table tops in the plane z = 0, centred at the origin, sides along x and y.

    Attributes:
        size: (B, 2), metres, full length along x and y; (0, 0) where a scene has no table.
        colour: (B, 3), albedo.
    """

    size: Tensor
    colour: Tensor


@dataclass(frozen=True)
class SceneBatch(TensorBatch):
    """A batch of complete scenes.

    Attributes:
        objects: N slots per scene.
        camera: one per scene.
        light: one per scene.
        table: one per scene.
        background: (B, 3), colour of the background.
    """

    objects: ObjectBatch
    camera: CameraBatch
    light: LightBatch
    table: TableBatch
    background: Tensor

    @classmethod
    def from_scenes(
        cls,
        scenes: Sequence[Scene],
        library: MeshLibrary,
        slots: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> SceneBatch:
        """Convert scenes to one batch, padded to the same number of slots.

        Args:
            scenes: at least one, all with one image size.
            library: contains every asset of the scenes.
            slots: N, by default the largest number of objects of a scene.

        Raises:
            SceneError: no scenes, images of different sizes, more objects than slots, or an asset that the
                library does not have.

        """
        _check_batch(scenes, library, slots)
        count = max(len(scene.objects) for scene in scenes) if slots is None else slots

        def stack(rows: Sequence[object]) -> Tensor:
            return torch.tensor(rows, dtype=dtype, device=device)

        cameras = [scene.camera for scene in scenes]
        return cls(
            objects=_objects(scenes, library, count).to(device, dtype),
            camera=CameraBatch(
                K=stack([camera.K for camera in cameras]),
                T_world_camera=stack([camera.T_world_camera for camera in cameras]),
                height=cameras[0].height_px,
                width=cameras[0].width_px,
            ),
            light=LightBatch(
                direction=stack([scene.light.direction for scene in scenes]),
                diffuse=stack([scene.light.diffuse for scene in scenes]),
                ambient=stack([scene.light.ambient for scene in scenes]),
            ),
            table=TableBatch(
                size=stack([scene.table.size_m if scene.table else (0.0, 0.0) for scene in scenes]),
                colour=stack([scene.table.colour if scene.table else (0.0, 0.0, 0.0) for scene in scenes]),
            ),
            background=stack([scene.background.colour for scene in scenes]),
        )

    def scene(self, index: int, library: MeshLibrary) -> Scene:
        """Convert one element to a `Scene`, without its empty slots.

        Raises:
            SceneError: an asset index that the library does not have, or values outside a scene's bounds,
                such as a colour above one.
        """
        try:
            return self._scene(index, library)
        except ValidationError as problem:
            raise SceneError(
                f"element {index} of the batch is no scene: {validation_message(problem)}"
            ) from problem

    def _scene(self, index: int, library: MeshLibrary) -> Scene:
        slots = torch.nonzero(self.objects.asset[index] >= 0).squeeze(-1).tolist()
        size: list[float] = self.table.size[index].tolist()
        table = (
            Table(size_m=(size[0], size[1]), colour=_values(self.table.colour[index])) if all(size) else None
        )
        return Scene(
            camera=Camera(
                width_px=self.camera.width,
                height_px=self.camera.height,
                K=_values(self.camera.K[index]),
                T_world_camera=_values(self.camera.T_world_camera[index]),
            ),
            objects=tuple(self._object(index, slot, library) for slot in slots),
            light=Light(
                direction=_values(self.light.direction[index]),
                diffuse=_values(self.light.diffuse[index]),
                ambient=_values(self.light.ambient[index]),
            ),
            table=table,
            background=Background(colour=_values(self.background[index])),
        )

    def _object(self, index: int, slot: int, library: MeshLibrary) -> SceneObject:
        objects = self.objects
        asset = int(objects.asset[index, slot])
        if asset >= len(library.names):
            raise SceneError(f"asset index {asset}: the library has {len(library.names)} meshes")
        rotation = objects.rotation[index, slot].detach().double()
        return SceneObject(
            asset=library.names[asset],
            position_m=_values(objects.position[index, slot]),
            quaternion_xyzw=_values(quaternion_from_matrix(rotation)),
            scale=float(objects.scale[index, slot]),
            tint=_values(objects.tint[index, slot]),
        )


def _objects(scenes: Sequence[Scene], library: MeshLibrary, slots: int) -> ObjectBatch:
    """Slots in the order of each scene's objects; an empty slot has the identity pose."""
    number = {name: index for index, name in enumerate(library.names)}
    asset = torch.full((len(scenes), slots), -1, dtype=torch.int64)
    position = torch.zeros(len(scenes), slots, 3, dtype=torch.float64)
    quaternion = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64).repeat(len(scenes), slots, 1)
    scale = torch.ones(len(scenes), slots, dtype=torch.float64)
    tint = torch.ones(len(scenes), slots, 3, dtype=torch.float64)
    for b, scene in enumerate(scenes):
        for n, item in enumerate(scene.objects):
            asset[b, n] = number[item.asset]
            position[b, n] = torch.tensor(item.position_m, dtype=torch.float64)
            quaternion[b, n] = torch.tensor(item.quaternion_xyzw, dtype=torch.float64)
            scale[b, n] = item.scale
            tint[b, n] = torch.tensor(item.tint, dtype=torch.float64)
    return ObjectBatch(asset, position, matrix_from_quaternion(quaternion), scale, tint)


def _check_batch(scenes: Sequence[Scene], library: MeshLibrary, slots: int | None) -> None:
    if not scenes:
        raise SceneError("got no scenes: expected at least one")
    sizes = sorted({(scene.camera.width_px, scene.camera.height_px) for scene in scenes})
    if len(sizes) > 1:
        shown = ", ".join(f"{width}×{height}" for width, height in sizes[:4])
        raise SceneError(f"scenes have images of {shown}: expected one size in a batch, resize the cameras")
    fullest = max(len(scene.objects) for scene in scenes)
    if slots is not None and fullest > slots:
        raise SceneError(f"a scene has {fullest} objects: expected at most {slots}")
    unknown = {item.asset for scene in scenes for item in scene.objects} - set(library.names)
    if unknown:
        known = ", ".join(library.names)
        raise SceneError(f"unknown asset '{min(unknown)}': the library has {known or 'no meshes'}")


def depth_order(asset: Tensor, depth: Tensor) -> Tensor:
    """Compute a stable order of slots by depth, empty ones last: (B, N) int64; see `take_slots`.

    Args:
        asset: (B, N), −1 for empty slots.
        depth: (B, N), metres in front of the camera.
    """
    return depth.masked_fill(asset < 0, torch.inf).argsort(dim=1, stable=True)


def take_slots(values: Tensor, order: Tensor) -> Tensor:
    """Reorder slots.

    Args:
        values: (B, N, ...).
        order: (B, N), for each new slot the old one.
    """
    return torch.take_along_dim(values, order.reshape(*order.shape, *[1] * (values.dim() - 2)), dim=1)


def _values(tensor: Tensor) -> Any:
    """A tensor as nested lists of numbers."""
    return tensor.detach().tolist()
