"""Finds the face at each sample by MuJoCo's ray casting: slow, for machines without OpenGL.

`mj_multiRay` gives the distance of each ray; the face at its end is looked up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.installation import load_mujoco
from inverse_graphics.rendering.kernels import in_chunks, kernel
from inverse_graphics.rendering.mujoco.meshes import PlainMesh, add_geom, add_mesh
from inverse_graphics.rendering.sampled.engine import Faces
from inverse_graphics.rendering.sampled.windows import Windows

Floats = NDArray[np.float64]

PER_FACE = 4  # nanoseconds, about


class RayFaces:
    """A `FaceFinder`.

    Raises:
        EngineError: MuJoCo is not installed.
    """

    def __init__(self, library: MeshLibrary) -> None:
        load_mujoco()
        self.library = library.to("cpu")
        self._first = library.first_face.tolist()
        shapes = (PlainMesh.from_library(self.library, mesh) for mesh in range(len(library.names)))
        self._targets = [None if shape is None else _Target(shape) for shape in shapes]

    def __reduce__(self) -> tuple[Any, ...]:
        return RayFaces, (self.library,)

    def find(self, windows: Windows) -> Faces:
        """The first face of the library at each sample, −1 where none: (n,) int32."""
        rays = windows.rays().astype(np.float64)
        faces = np.full(len(rays), -1, np.int32)
        for layer in np.nonzero(windows.box[:, 2])[0].tolist():
            mesh = int(windows.mesh[layer])
            target, part = self._targets[mesh], slice(*windows.first[layer : layer + 2])
            if target is not None:
                found = target.met(rays[part.start, :3], rays[part, 3:])
                faces[part] = np.where(found < 0, -1, found + self._first[mesh])
        return faces


class _Target:
    """One mesh for ray casting, in its own model."""

    def __init__(self, shape: PlainMesh) -> None:
        mujoco = self._mujoco = load_mujoco()
        self._shape = shape
        spec = mujoco.MjSpec()
        add_mesh(spec, "mesh", shape)
        add_geom(spec, "mesh")
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        mujoco.mj_kinematics(self._model, self._data)
        self._corners = np.ascontiguousarray(shape.vertices[shape.faces])

    def met(self, origin: Floats, directions: Floats) -> Faces:
        """The first faces on rays; −1 for none.

        Args:
            origin: (3,), metres.
            directions: (n, 3).
        """
        count, radius = len(directions), self._shape.radius
        length = np.linalg.norm(directions, axis=1, keepdims=True)
        unit, distance = directions / length, np.empty(count)
        geom = np.empty(count, np.int32)
        start = np.ascontiguousarray(origin / radius)
        self._mujoco.mj_multiRay(
            self._model, self._data, start, unit.ravel(), None, True, -1, geom, distance, None, count, np.inf
        )
        return self._ended(start, unit, distance)

    def _ended(self, start: Floats, unit: Floats, distance: Floats) -> Faces:
        met = np.nonzero(distance >= 0)[0]
        ends = start + unit[met] * distance[met, None]
        found, count = np.empty(len(met), np.int32), len(met)
        in_chunks(
            lambda first, last: _nearest(first, last, ends, self._corners, found),
            count,
            PER_FACE * count * len(self._corners),
        )
        faces = np.full(len(distance), -1, np.int32)
        faces[met] = self._shape.number[found]
        return faces


@kernel
def _nearest(start: int, stop: int, points: Floats, corners: Floats, found: Faces) -> None:
    """The face nearest to each of the points start … stop − 1."""
    for p in range(start, stop):
        x, y, z = points[p]
        best, found[p] = np.inf, -1
        for face in range(len(corners)):
            a = corners[face, 0]
            ux, uy, uz = corners[face, 1, 0] - a[0], corners[face, 1, 1] - a[1], corners[face, 1, 2] - a[2]
            vx, vy, vz = corners[face, 2, 0] - a[0], corners[face, 2, 1] - a[1], corners[face, 2, 2] - a[2]
            wx, wy, wz = x - a[0], y - a[1], z - a[2]
            nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
            area = nx * nx + ny * ny + nz * nz
            if area == 0:
                continue
            off = abs(wx * nx + wy * ny + wz * nz) / np.sqrt(area)
            if off >= best:
                continue
            b = ((wy * vz - wz * vy) * nx + (wz * vx - wx * vz) * ny + (wx * vy - wy * vx) * nz) / area
            c = ((uy * wz - uz * wy) * nx + (uz * wx - ux * wz) * ny + (ux * wy - uy * wx) * nz) / area
            off = max(
                off, -min(b, c, 1 - b - c)
            )  # corners are at most 2 apart, so shares are comparable with lengths
            if off < best:
                best, found[p] = off, face
