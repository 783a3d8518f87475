"""Plain meshes whose outlines, depths and colours are known analytically."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trimesh
from numpy.typing import ArrayLike, NDArray

from inverse_graphics.packs.mesh import Mesh

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
WHITE = (1.0, 1.0, 1.0)


def mesh(vertices: ArrayLike, faces: ArrayLike, colours: ArrayLike = WHITE, smooth: bool = False) -> Mesh:
    """Build a mesh.

    Args:
        vertices: (V, 3), metres.
        faces: (F, 3).
        colours: (3,) or (V, 3).
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
