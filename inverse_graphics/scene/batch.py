"""The padded tensor form of a batch of scenes: what engines render and networks infer.

A batch of B scenes holds N object slots each; a slot that is empty has `asset` −1 and is never drawn.
All tensors of a batch share one device and, where real-valued, one dtype. Frames and units: world is
right-handed, metres, Z up; cameras are OpenCV (x right, y down, z forward) with K in pixels, where pixel
(row r, column c) has its centre at (c + 0.5, r + 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ObjectBatch:
    """Objects: what they are and where they are.

    asset: (B, N) int64, index into a `MeshLibrary`, −1 where the slot is empty.
    position: (B, N, 3), metres, world frame.  rotation: (B, N, 3, 3), world from object.
    scale: (B, N), 1 for real size.  tint: (B, N, 3), multiplies the albedo.
    """

    asset: Tensor
    position: Tensor
    rotation: Tensor
    scale: Tensor
    tint: Tensor


@dataclass(frozen=True)
class CameraBatch:
    """Pinhole cameras.

    K: (B, 3, 3), pixels.  T_world_camera: (B, 4, 4), camera to world.  height, width: pixels.
    """

    K: Tensor
    T_world_camera: Tensor
    height: int
    width: int


@dataclass(frozen=True)
class LightBatch:
    """One directional light and an ambient one.

    direction: (B, 3), unit, world frame, *towards* the light.  diffuse, ambient: (B, 3), linear RGB;
    a surface of albedo a and unit normal n has colour a · (ambient + diffuse · max(0, n · direction)).
    """

    direction: Tensor
    diffuse: Tensor
    ambient: Tensor


@dataclass(frozen=True)
class TableBatch:
    """Rectangular table tops in the plane z = 0, centred at the origin, sides along x and y.

    size: (B, 2), metres, full length along x and y; (0, 0) where a scene has no table.
    colour: (B, 3), albedo.
    """

    size: Tensor
    colour: Tensor


@dataclass(frozen=True)
class SceneBatch:
    """Everything an image depends on.  background: (B, 3), the colour behind everything."""

    objects: ObjectBatch
    camera: CameraBatch
    light: LightBatch
    table: TableBatch
    background: Tensor
