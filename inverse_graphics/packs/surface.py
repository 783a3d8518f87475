"""From separate triangles to a mesh: weld, drop degenerate triangles, smooth normals except at creases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from inverse_graphics.packs.mesh import Mesh

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TriangleSoup:
    """F triangles with separate corners.

    Attributes:
        corners: (F, 3, 3), metres.
        colours: (F, 3, 3) in [0, 1].
        uv: (F, 3, 2) or None.
    """

    corners: Floats
    colours: Floats
    uv: Floats | None


def mesh_from_soup(soup: TriangleSoup, crease_degrees: float, texture: NDArray[np.float32] | None) -> Mesh:
    """Build a mesh whose vertices are shared wherever position, normal, colour and uv agree.

    Triangles without area are dropped; there may be none left.

    Args:
        soup: the triangles.
        crease_degrees: an edge whose face normals differ by more, or that does not have exactly two faces of
            one winding, is sharp.
        texture: (Ht, Wt, 3) in [0, 1], or None.
    """
    soup, welded = _weld(soup)
    groups = smooth_corners(welded, _face_normals(soup.corners), np.radians(crease_degrees))
    normals = _corner_normals(soup.corners, groups)
    uv = np.zeros((*groups.shape, 0)) if soup.uv is None else soup.uv
    attributes = np.concatenate([groups[..., None], soup.colours, uv], axis=-1)
    attributes = attributes.reshape(groups.size, attributes.shape[-1])
    _, first, index = np.unique(attributes, axis=0, return_index=True, return_inverse=True)
    return Mesh(
        vertices=soup.corners.reshape(-1, 3)[first].astype(np.float32),
        faces=index.reshape(-1, 3).astype(np.int64),
        normals=normals.reshape(-1, 3)[first].astype(np.float32),
        colours=soup.colours.reshape(-1, 3)[first].astype(np.float32),
        uv=None if soup.uv is None else soup.uv.reshape(-1, 2)[first].astype(np.float32),
        texture=texture,
    )


def smooth_corners(faces: Ints, face_normals: Floats, crease_radians: float) -> Ints:
    """Group the corners that share a normal: those connected around a vertex by smooth edges.

    Args:
        faces: (F, 3) into welded vertices.
        face_normals: (F, 3), unit.
        crease_radians: the largest angle of a smooth edge.

    Returns:
        (F, 3), the index of each corner's group.
    """
    if not faces.size:
        return faces
    corner = np.arange(faces.size).reshape(-1, 3)
    start, stop = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    # an edge and its twin run in opposite directions; sorted by (low, high), twins are neighbours
    low, high = np.minimum(start, stop), np.maximum(start, stop)
    order = np.lexsort((start > stop, high, low))
    key = np.stack([low, high], -1)[order]
    same = (key[1:] == key[:-1]).all(-1)
    alone = ~np.r_[False, same[:-1]] & ~np.r_[same[1:], False]  # exactly two, not three or more
    first, second = order[:-1][same & alone], order[1:][same & alone]
    cosine = (face_normals[first // 3] * face_normals[second // 3]).sum(-1)
    joined = (start[first] == stop[second]) & (cosine >= np.cos(crease_radians))
    first, second = first[joined], second[joined]
    following = np.roll(corner, -1, axis=1).reshape(-1)
    rows = np.concatenate([first, following[first]])
    columns = np.concatenate([following[second], second])
    links = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(faces.size, faces.size))
    groups: Ints = connected_components(links, directed=False)[1].astype(np.int64)
    return groups.reshape(-1, 3)


def _weld(soup: TriangleSoup) -> tuple[TriangleSoup, Ints]:
    """Index corners by position, rounded to a millionth of the size, and drop triangles without area."""
    size = float(np.abs(soup.corners).max(initial=0.0)) or 1.0
    place = np.round(soup.corners.reshape(-1, 3) / (size * 1e-6)).astype(np.int64)
    index = np.unique(place, axis=0, return_inverse=True)[1].reshape(-1, 3).astype(np.int64)
    area = np.linalg.norm(_area_vectors(soup.corners), axis=-1)
    valid = (index != np.roll(index, 1, axis=1)).all(axis=1) & (area > (size * 1e-7) ** 2)
    uv = None if soup.uv is None else soup.uv[valid]
    return TriangleSoup(soup.corners[valid], soup.colours[valid], uv), index[valid]


def _area_vectors(corners: Floats) -> Floats:
    vectors: Floats = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return vectors


def _face_normals(corners: Floats) -> Floats:
    area = _area_vectors(corners)
    normals: Floats = area / np.linalg.norm(area, axis=-1, keepdims=True)
    return normals


def _corner_normals(corners: Floats, groups: Ints) -> Floats:
    """The normal of each corner: its group's face normals, weighted by their angles at the vertex.

    (Thürmer and Wüthrich 1998, "Computing vertex normals from polygonal facets".)
    """
    face_normals = np.repeat(_face_normals(corners), 3, axis=0)
    weighted = face_normals * _angles(corners).reshape(-1, 1)
    total = np.zeros((int(groups.max(initial=-1)) + 1, 3))
    np.add.at(total, groups.reshape(-1), weighted)
    summed = total[groups.reshape(-1)]
    length = np.linalg.norm(summed, axis=-1, keepdims=True)
    # where the normals of a group cancel, each face keeps its own
    normals: Floats = np.where(length > 1e-9, summed / np.maximum(length, 1e-9), face_normals)
    return normals.reshape(-1, 3, 3)


def _angles(corners: Floats) -> Floats:
    """The inner angle at each corner.

    Returns:
        (F, 3), radians.
    """
    forward, backward = np.roll(corners, -1, axis=1) - corners, np.roll(corners, 1, axis=1) - corners
    sine = np.linalg.norm(np.cross(forward, backward), axis=-1)
    angles: Floats = np.arctan2(sine, (forward * backward).sum(-1))
    return angles
