"""Solids as meshes and as files, for tests of what is found on them."""

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.surface import TriangleSoup, mesh_from_soup

ANYHOW = Rotation.from_rotvec([0.7, -0.4, 1.1])
"""A rotation that brings no axis of a solid to a coordinate axis."""


def as_mesh(solid: trimesh.Trimesh, colour=(0.5, 0.5, 0.5)) -> Mesh:
    """A mesh of one colour, or of one for each face."""
    corners = np.asarray(solid.triangles, np.float64)
    colours = np.broadcast_to(np.asarray(colour, float).reshape(-1, 1, 3), corners.shape)
    return mesh_from_soup(TriangleSoup(corners, colours, None), 45, None)


def rotated(solid: trimesh.Trimesh, rotation: Rotation = ANYHOW) -> trimesh.Trimesh:
    return moved(solid, rotation=rotation)


def moved(solid: trimesh.Trimesh, offset=(0.0, 0.0, 0.0), rotation=None) -> trimesh.Trimesh:
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) if rotation is None else rotation.as_matrix()
    matrix[:3, 3] = offset
    return solid.copy().apply_transform(matrix)


def box(x=0.10, y=0.07, z=0.03) -> trimesh.Trimesh:
    """On the table, a centimetre beside the origin."""
    return moved(trimesh.creation.box((x, y, z)), (0.01, 0, z / 2))


def can(radius=0.03, height=0.1, sections=64) -> trimesh.Trimesh:
    return moved(trimesh.creation.cylinder(radius, height, sections=sections), (0, 0, height / 2))


def tetrahedron() -> trimesh.Trimesh:
    corners = 0.05 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def banded(solid: trimesh.Trimesh, bands: int) -> np.ndarray:
    """A colour for each face by its azimuth: two colours in turn, `bands` times around."""
    angle = np.arctan2(*solid.triangles_center[:, [1, 0]].T) / (2 * np.pi) % 1
    red = (angle * bands) % 1 < 0.5
    return np.where(red[:, None], (0.8, 0.2, 0.2), (0.2, 0.2, 0.8))


def exported(solid: trimesh.Trimesh, kind: str) -> bytes:
    data = solid.export(file_type=kind)
    assert isinstance(data, str | bytes)
    return data.encode() if isinstance(data, str) else data
