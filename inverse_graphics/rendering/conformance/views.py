"""Cameras, lights, objects and scenes for the checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.rendering.conformance.shapes import Floats
from inverse_graphics.rendering.conformance.tolerance import EngineFactory
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch, TableBatch


@dataclass(frozen=True)
class View:
    """A camera; by default at the world's origin with the world's axes: x right, y down, z forward.

    Attributes:
        K: focal lengths and principal point (fx, fy, cx, cy) in pixels.
        T_world_camera: (4, 4).
    """

    height: int = 48
    width: int = 48
    K: tuple[float, float, float, float] = (60.0, 60.0, 24.0, 24.0)
    T_world_camera: Floats | None = None

    def camera(self, scenes: int) -> CameraBatch:
        """The same camera for a number of scenes."""
        fx, fy, cx, cy = self.K
        K = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32)
        T = np.eye(4) if self.T_world_camera is None else self.T_world_camera
        pose = torch.from_numpy(np.asarray(T, np.float32))
        return CameraBatch(K.repeat(scenes, 1, 1), pose.repeat(scenes, 1, 1), self.height, self.width)

    def pixels(self, points: Floats) -> Floats:
        """Project points in the camera's frame, (n, 3), metres, to pixels, (n, 2): column and row."""
        fx, fy, cx, cy = self.K
        return points[:, :2] / points[:, 2:] * [fx, fy] + [cx, cy]

    def rays(self) -> Floats:
        """Directions through the pixel centres, (H, W, 3), camera frame, at depth 1."""
        fx, fy, cx, cy = self.K
        y, x = np.mgrid[: self.height, : self.width] + 0.5
        return np.stack([(x - cx) / fx, (y - cy) / fy, np.ones_like(x)], axis=-1)


def light(
    scenes: int,
    direction: Sequence[float] = (0.0, 0.0, -1.0),
    diffuse: float = 0.0,
    ambient: float = 1.0,
) -> LightBatch:
    """The same light for a number of scenes; by default ambient only, which shows the albedo."""
    towards = torch.nn.functional.normalize(torch.tensor(direction, dtype=torch.float32), dim=0)
    return LightBatch(
        towards.repeat(scenes, 1), torch.full((scenes, 3), diffuse), torch.full((scenes, 3), ambient)
    )


def objects(
    asset: ArrayLike, position: ArrayLike, rotation: ArrayLike | None = None, scale: ArrayLike = 1.0
) -> ObjectBatch:
    """Place objects.

    Args:
        asset: (B, N).
        scale: (B, N).
        position: (B, N, 3).
        rotation: (3, 3) or (B, N, 3, 3).
    """
    number = torch.from_numpy(np.array(asset, np.int64))
    rotation_matrix = np.eye(3) if rotation is None else rotation
    sizes = np.broadcast_to(np.asarray(scale, np.float32), number.shape).copy()
    return ObjectBatch(
        asset=number,
        position=torch.from_numpy(np.array(position, np.float32)).reshape(*number.shape, 3),
        rotation=torch.from_numpy(
            np.broadcast_to(np.asarray(rotation_matrix, np.float32), (*number.shape, 3, 3)).copy()
        ),
        scale=torch.from_numpy(sizes),
        tint=torch.ones(*number.shape, 3),
    )


def library(*meshes: Mesh) -> MeshLibrary:
    """Number meshes from 0."""
    return MeshLibrary.from_meshes([(f"conformance/{n}", each) for n, each in enumerate(meshes)])


def draw(
    make_engine: EngineFactory,
    shape: Mesh,
    positions: ArrayLike,
    view: View | None = None,
    rotation: ArrayLike | None = None,
    shine: LightBatch | None = None,
) -> Layers:
    """Render one mesh at P positions, (P, 3), alone in each of P scenes; N = 1, without gradients."""
    places = np.asarray(positions, np.float64).reshape(-1, 1, 3)
    count = len(places)
    placed = objects(np.zeros((count, 1)), places, rotation)
    with torch.no_grad():
        camera = (view or View()).camera(count)
        return make_engine(library(shape)).layers(placed, camera, shine or light(count))


def scene(placed: ObjectBatch, view: View, table_m: float = 0.0) -> SceneBatch:
    """Build scenes with ambient light, a square grey table `table_m` metres wide, and a black background."""
    count = len(placed.asset)
    return SceneBatch(
        objects=placed,
        camera=view.camera(count),
        light=light(count),
        table=TableBatch(torch.full((count, 2), table_m), torch.full((count, 3), 0.5)),
        background=torch.zeros(count, 3),
    )


def to_numpy(values: Tensor) -> Floats:
    """Convert a tensor to a float64 NumPy array."""
    return values.detach().cpu().double().numpy()
