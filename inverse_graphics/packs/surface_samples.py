"""Points on the surface of a mesh, with normals and colours, evenly spread by area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from inverse_graphics.packs.mesh import Mesh

Floats = NDArray[np.float64]

NORMAL_WEIGHT = 0.1
"""A difference of unit normals counts like this share of the size: it separates the sides of thin walls."""


@dataclass(frozen=True)
class SurfaceSamples:
    """P points on a surface, in random order.

    Attributes:
        positions: (P, 3), metres.
        normals: (P, 3), those of the faces, unit length.
        colours: (P, 3), albedo with its texture, image values in [0, 1].
    """

    positions: Floats
    normals: Floats
    colours: Floats

    def features(self, size: float) -> Floats:
        """Positions as shares of `size` beside weighted normals (P, 6): near where a surface continues."""
        return np.concatenate([self.positions / size, NORMAL_WEIGHT * self.normals], axis=1)


def sample_surface(mesh: Mesh, count: int, seed: int = 0) -> SurfaceSamples:
    """Spread points over a mesh in proportion to area (stratified, the same each time).

    Args:
        mesh: Some of its faces have an area.
        count: Number of points.
        seed: Of their places.
    """
    generator = np.random.default_rng(seed)
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(crossed, axis=1)
    places = (np.arange(count) + generator.random(count)) / count * doubled.sum()
    faces = np.minimum(np.searchsorted(doubled.cumsum(), places), len(doubled) - 1)
    generator.shuffle(faces)
    u, v = generator.random((2, count))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)
    return SurfaceSamples(
        np.einsum("pc,pcx->px", weights, corners[faces]),
        crossed[faces] / np.maximum(doubled[faces, None], 1e-300),
        colours_at(mesh, faces, weights),
    )


def colours_at(mesh: Mesh, faces: NDArray[np.int64], weights: Floats) -> Floats:
    """The albedo (P, 3) at barycentric coordinates `weights` (P, 3) of faces (P,)."""
    corners = mesh.faces[faces]
    colours: Floats = np.einsum("pc,pcx->px", weights, mesh.colours[corners].astype(np.float64))
    if mesh.texture is None or mesh.uv is None:
        return colours
    uv = np.einsum("pc,pcx->px", weights, mesh.uv[corners].astype(np.float64))
    height, width = mesh.texture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    across, down = (x - left)[:, None], (y - top)[:, None]

    def texels(column: NDArray[np.int64], row: NDArray[np.int64]) -> Floats:
        assert mesh.texture is not None
        return mesh.texture[row % height, column % width].astype(np.float64)

    upper = texels(left, top) * (1 - across) + texels(left + 1, top) * across
    lower = texels(left, top + 1) * (1 - across) + texels(left + 1, top + 1) * across
    return colours * (upper * (1 - down) + lower * down)


def nearest(samples: SurfaceSamples, size: float) -> cKDTree:
    """A search tree over `features`."""
    return cKDTree(samples.features(size), balanced_tree=False, compact_nodes=False)
