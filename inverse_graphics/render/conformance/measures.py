"""Tolerances of the conformance checks; simple meshes, cameras and lights with known images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.render.engine import Layers, RenderEngine
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch, TableBatch

EngineFactory = Callable[[MeshLibrary], RenderEngine]


@dataclass(frozen=True)
class Tolerance:
    """The accuracy of an engine; the defaults hold for the embedded engine.

    blur_px: distance from its outline within which an object's alpha is undefined, pixels.
    area: relative error of an object's summed alpha, mean over sub-pixel positions.  area_small: the same
    for objects of fewer than five pixels across, whose curvature a soft outline cannot resolve.
    area_once: the same in any one position, for objects eight pixels across; smaller ones get more.
    position_px: of an object's centre.  colour: of a surface, in [0, 1].  depth: relative.
    repeat: largest difference of the same image when it is rendered in another way (in a batch, with faces
    without area added), in [0, 1].  gradient: relative, of area and centre with respect to position.
    """

    blur_px: float = 0.6
    area: float = 0.01
    area_small: float = 0.01
    area_once: float = 0.05
    position_px: float = 0.1
    colour: float = 1 / 255
    depth: float = 1e-3
    repeat: float = 1e-5
    gradient: float = 0.05


Check = Callable[[EngineFactory, Tolerance], None]


def require(condition: bool, complaint: str) -> None:
    """Raise AssertionError with a message unless a condition holds; unlike `assert`, also under -O."""
    if not condition:
        raise AssertionError(complaint)


def require_near(found: float, expected: float, within: float, what: str) -> None:
    """Raise AssertionError unless a value lies within a distance of the expected one."""
    near = abs(found - expected) <= within  # false for NaN
    require(near, f"{what}: got {found:.6g}, expected {expected:.6g} within {within:.3g}")


Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
WHITE = (1.0, 1.0, 1.0)


def mesh(vertices: ArrayLike, faces: ArrayLike, colours: ArrayLike = WHITE, smooth: bool = False) -> Mesh:
    """Build a mesh.  vertices: (V, 3), metres.  faces: (F, 3).  colours: (3,) or (V, 3).

    smooth: normals point away from the origin, as on a sphere; else each face is flat.
    """
    points, triangles = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    albedo = np.broadcast_to(np.asarray(colours, np.float64), points.shape)
    if smooth:
        normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    else:
        albedo, points = albedo[triangles].reshape(-1, 3), points[triangles].reshape(-1, 3)
        triangles = np.arange(len(points)).reshape(-1, 3)
        a, b, c = points[0::3], points[1::3], points[2::3]
        across = np.cross(b - a, c - a)
        length = np.linalg.norm(across, axis=1, keepdims=True)
        upright = np.array([0.0, 0.0, 1.0])
        normals = np.where(length > 1e-12, across / np.maximum(length, 1e-12), upright).repeat(3, axis=0)
    return Mesh(
        vertices=points.astype(np.float32),
        faces=triangles,
        normals=normals.astype(np.float32),
        colours=albedo.astype(np.float32).copy(),
    )


def ball(radius: float = 0.1, subdivisions: int = 3) -> Mesh:
    """Build a white ball of 20 · 4^subdivisions faces."""
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return mesh(shape.vertices, shape.faces, smooth=True)


def box(extents: Sequence[float] = (0.2, 0.2, 0.2), colour: Sequence[float] = WHITE) -> Mesh:
    """Build a box about the origin."""
    shape = trimesh.creation.box(extents)
    return mesh(shape.vertices, shape.faces, colour)


def card(width: float = 0.2, height: float = 0.2, colours: ArrayLike = WHITE) -> Mesh:
    """Build a rectangle in the plane z = 0 whose front faces −z.

    Corners in the order (left, top), (right, top), (right, bottom), (left, bottom) for a camera with the
    world's axes (x right, y down) in front of it.
    """
    x, y = width / 2, height / 2
    return mesh([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]], [[0, 2, 1], [0, 3, 2]], colours)


def joined(*parts: tuple[Mesh, Sequence[float]]) -> Mesh:
    """Join meshes to one, each translated by its offset in metres."""
    first = np.cumsum([0] + [len(part.vertices) for part, _ in parts])
    return Mesh(
        vertices=np.concatenate([part.vertices + np.asarray(offset, np.float32) for part, offset in parts]),
        faces=np.concatenate([part.faces + start for (part, _), start in zip(parts, first, strict=False)]),
        normals=np.concatenate([part.normals for part, _ in parts]),
        colours=np.concatenate([part.colours for part, _ in parts]),
    )


@dataclass(frozen=True)
class View:
    """A camera; by default at the world's origin with the world's axes: x right, y down, z forward.

    K: focal lengths and principal point (fx, fy, cx, cy) in pixels.  T_world_camera: (4, 4).
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
    """Place objects.  asset, scale: (B, N).  position: (B, N, 3).  rotation: (3, 3) or (B, N, 3, 3)."""
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
    """Put objects into scenes with an even light, a grey table, metres wide, and a black background."""
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
