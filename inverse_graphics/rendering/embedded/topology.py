"""Adjacency of faces and edges, for silhouettes and creases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary

CREASE_COSINE = 0.985  # normals of one corner that differ by more than 10° make its edge a crease
CREASE_COLOUR = 0.02  # as do colours that differ by more than this in any channel


@dataclass(frozen=True)
class MeshTopology:
    """Edges of all meshes of a library, concatenated like its faces.

    Attributes:
        edges: (E, 5) int32: two vertices, two faces (−1 where there is no second), and 1 where the edge is
            always a discontinuity (a boundary, more than two faces, a crease), else 0.
        first_edge: (M + 1,) int64; mesh m owns rows first_edge[m] : first_edge[m + 1].
        solid: (F,) bool, false for faces without area, which are never rendered.
        closed: (M,) bool, true for closed meshes with outward faces, whose back faces are never visible from
            outside.
    """

    edges: Tensor
    first_edge: Tensor
    solid: Tensor
    closed: Tensor

    @classmethod
    def from_library(cls, library: MeshLibrary) -> MeshTopology:
        """Find the edges of every mesh; vertices at the same position count as one."""
        vertices = library.vertices.double().cpu().numpy()
        normals = library.normals.double().cpu().numpy()
        colours = library.colours.double().cpu().numpy()
        faces = library.faces.cpu().numpy()
        first_vertex, first_face = library.first_vertex.tolist(), library.first_face.tolist()
        solid = np.zeros(len(faces), bool)
        closed = np.zeros(len(library.names), bool)
        parts = [np.zeros((0, 5), np.int32)]
        for m in range(len(library.names)):
            own_vertices = slice(first_vertex[m], first_vertex[m + 1])
            own_faces = slice(first_face[m], first_face[m + 1])
            place = np.zeros(len(vertices), np.int64)
            place[own_vertices] = _weld(vertices[own_vertices])
            solid[own_faces] = _solid_faces(vertices, place, faces[own_faces])
            rendered = np.flatnonzero(solid[own_faces]) + first_face[m]
            parts.append(_edges_of(rendered, faces, place, normals, colours))
            closed[m] = _is_closed(vertices, place[faces[rendered]], faces[rendered])
        first_edge = np.cumsum([0] + [len(part) for part in parts[1:]])
        return cls(
            edges=torch.from_numpy(np.concatenate(parts)),
            first_edge=torch.from_numpy(first_edge.astype(np.int64)),
            solid=torch.from_numpy(solid),
            closed=torch.from_numpy(closed),
        )

    def to(self, device: torch.device | str) -> MeshTopology:
        """The same topology on another device."""
        return MeshTopology(**{name: value.to(device) for name, value in vars(self).items()})


def _weld(vertices: NDArray[np.float64]) -> NDArray[np.int64]:
    """One index for all vertices of a mesh within a millionth of its size of each other."""
    if not len(vertices):
        return np.zeros(0, np.int64)
    step = max(float(np.abs(vertices).max()), 1e-30) * 1e-6
    _, place = np.unique(np.round(vertices / step).astype(np.int64), axis=0, return_inverse=True)
    return place.reshape(-1)


def _solid_faces(
    vertices: NDArray[np.float64], place: NDArray[np.int64], faces: NDArray[np.int64]
) -> NDArray[np.bool_]:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    longest = np.maximum(np.maximum(_squares(b - a), _squares(c - b)), _squares(a - c))
    welded = place[faces]
    distinct = (
        (welded[:, 0] != welded[:, 1]) & (welded[:, 1] != welded[:, 2]) & (welded[:, 2] != welded[:, 0])
    )
    return distinct & (area > 1e-7 * longest)


def _squares(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.square(vectors).sum(axis=1)


def _is_closed(vertices: NDArray[np.float64], welded: NDArray[np.int64], faces: NDArray[np.int64]) -> bool:
    """Whether each edge is traversed once each way, and each connected part encloses a positive volume."""
    if not len(faces):
        return False
    size = int(welded.max()) + 1
    there = np.stack([welded, np.roll(welded, -1, axis=1)], axis=2).reshape(-1, 2)
    ways, counts = np.unique(there[:, 0] * size + there[:, 1], return_counts=True)
    back = np.unique(there[:, 1] * size + there[:, 0])
    if (counts != 1).any() or not np.array_equal(ways, back):
        return False
    graph = coo_array((np.ones(len(there)), (there[:, 0], there[:, 1])), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volume = np.bincount(part[welded[:, 0]], (a * np.cross(b, c)).sum(axis=1))
    return bool((volume[np.unique(part[welded])] > 0).all())


def _edges_of(
    rendered: NDArray[np.int64],
    faces: NDArray[np.int64],
    place: NDArray[np.int64],
    normals: NDArray[np.float64],
    colours: NDArray[np.float64],
) -> NDArray[np.int32]:
    """The edges (5 columns as in `MeshTopology`) of the faces with indices `rendered`."""
    if not len(rendered):
        return np.zeros((0, 5), np.int32)
    corners = np.stack([faces[rendered], np.roll(faces[rendered], -1, axis=1)], axis=2).reshape(-1, 2)
    owner = np.repeat(rendered, 3)
    swap = place[corners[:, 0]] > place[corners[:, 1]]
    corners[swap] = corners[swap][:, ::-1]
    order = np.lexsort((owner, place[corners[:, 1]], place[corners[:, 0]]))
    corners, owner = corners[order], owner[order]
    starts = np.flatnonzero(np.concatenate([[True], (place[corners[1:]] != place[corners[:-1]]).any(axis=1)]))
    counts = np.diff(np.append(starts, len(corners)))
    second = np.minimum(starts + 1, len(corners) - 1)
    paired = counts == 2
    crease = _differ(corners[starts], corners[second], normals, colours)
    edges = np.empty((len(starts), 5), np.int32)
    edges[:, :2] = corners[starts]
    edges[:, 2] = owner[starts]
    edges[:, 3] = np.where(paired, owner[second], -1)
    edges[:, 4] = ~paired | crease
    return edges


def _differ(
    mine: NDArray[np.int64],
    other: NDArray[np.int64],
    normals: NDArray[np.float64],
    colours: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether the corners `mine` and `other`, (E, 2) each, have different attributes at the same position."""
    cosine = (normals[mine] * normals[other]).sum(axis=-1)
    contrast = np.abs(colours[mine] - colours[other]).max(axis=-1)
    return ((cosine < CREASE_COSINE) | (contrast > CREASE_COLOUR)).any(axis=-1)
