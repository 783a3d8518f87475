"""Windows of objects in the image, and the samples of their pixels.

A window is the smallest rectangle of pixels that contains all vertices of an object; nothing outside of it is
sampled. Each of its pixels is sampled at the centres of `factor` × `factor` equal squares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.drawing import layer_parameters
from inverse_graphics.rendering.embedded.drawing_numba import as_rows
from inverse_graphics.rendering.kernels import in_chunks, kernel
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

PER_VERTEX = 4  # nanoseconds, about
PER_RAY = 5
FLATTEST = 1e-30  # with a smaller determinant of its frame in the image, an object is not rendered


@dataclass(frozen=True)
class Windows:
    """Samples of L layers, those of one mesh contiguous.

    Attributes:
        factor: samples along each side of a pixel.
        layer: (L,), which layer of the batch each is.
        mesh: (L,), sorted; −1 for an empty slot.
        rows: (L, 21), from `layer_parameters`.
        box: (L, 4), left, top, width and height of windows, pixels.
        depth: (L, 2), metres, of an object's nearest and farthest vertex.
        first: (L + 1,), start of each window's samples, row by row, among all of them.
    """

    factor: int
    layer: Integers
    mesh: Integers
    rows: Floats
    box: Integers
    depth: Floats
    first: Integers

    @classmethod
    def from_objects(
        cls,
        objects: ObjectBatch,
        camera: CameraBatch,
        light: LightBatch,
        factor: int,
        vertices: Vertices,
        near: float,
    ) -> Windows:
        """Find the window of each of B · N layers; vertices nearer than `near` metres are ignored."""
        mesh = objects.asset.reshape(-1).numpy()
        layer = np.argsort(mesh, kind="stable")
        mesh, size = mesh[layer], (camera.height, camera.width)
        rows = as_rows(layer_parameters(objects, camera, light))[layer]
        box, depth = np.zeros((len(layer), 4), np.int64), np.zeros((len(layer), 2))
        arguments = (rows, mesh, vertices.places, vertices.first, *size, near, box, depth)
        work = PER_VERTEX * vertices.most * len(layer)
        in_chunks(lambda start, stop: _find(start, stop, *arguments), len(layer), work)
        return cls(factor, layer, mesh, rows, box, depth, _first_samples(box, factor))

    def blocks(self, most: int) -> Iterator[Windows]:
        """Split windows into blocks of at most `most` samples; tall windows are cut."""
        start = 0
        while start < len(self.layer):
            stop = max(start + 1, int(np.searchsorted(self.first, self.first[start] + most, "right")) - 1)
            part = slice(start, stop)
            block = self._with(
                self.layer[part], self.mesh[part], self.rows[part], self.box[part], self.depth[part]
            )
            yield from block._strips(most) if block.first[-1] > most else [block]
            start = stop

    def _strips(self, most: int) -> Iterator[Windows]:
        """One window, cut into strips."""
        left, top, width, height = self.box[0].tolist()
        rows = max(1, most // (width * self.factor**2))
        for down in range(0, height, rows):
            box = np.array([[left, top + down, width, min(rows, height - down)]])
            yield self._with(self.layer, self.mesh, self.rows, box, self.depth)

    def _with(self, layer: Integers, mesh: Integers, rows: Floats, box: Integers, depth: Floats) -> Windows:
        return Windows(self.factor, layer, mesh, rows, box, depth, _first_samples(box, self.factor))

    def rays(self, start_m: float = 0.0) -> NDArray[np.float32]:
        """Rays through all samples, (n, 6): origin and direction in the object's own frame, metres.

        Directions are scaled such that the point at parameter t is t metres deeper in front of the camera
        than the origin, whose depth is `start_m`.
        """
        rays = np.empty((int(self.first[-1]), 6), np.float32)
        arguments = (self.factor, self.rows, self.box, self.first, start_m, rays)
        in_chunks(lambda start, stop: _cast(start, stop, *arguments), len(self.layer), PER_RAY * len(rays))
        return rays

    def of_mesh(self, mesh: int) -> slice:
        """The layers of a mesh."""
        return slice(*np.searchsorted(self.mesh, [mesh, mesh + 1]))


@dataclass(frozen=True)
class Vertices:
    """The vertices of M meshes.

    Attributes:
        places: (V, 3).
        first: (M + 1,).
        most: of any mesh.
    """

    places: Floats
    first: Integers
    most: int

    @classmethod
    def from_library(cls, library: MeshLibrary) -> Vertices:
        """Extract the vertices of a library."""
        first = library.first_vertex.numpy()
        return cls(library.vertices.double().numpy(), first, int(np.diff(first).max(initial=0)))


def _first_samples(box: Integers, factor: int) -> Integers:
    return np.concatenate([[0], np.cumsum(box[:, 2] * box[:, 3] * factor**2)])


@kernel
def _find(
    start: int,
    stop: int,
    rows: Floats,
    mesh: Integers,
    places: Floats,
    first: Integers,
    height: int,
    width: int,
    near: float,
    box: Integers,
    depth: Floats,
) -> None:
    """Windows of layers start … stop − 1; the whole image for an object that reaches behind the camera."""
    for layer in range(start, stop):
        row, m = rows[layer], mesh[layer]
        if m < 0:
            continue
        left, right, top, bottom, nearest, farthest = np.inf, -np.inf, np.inf, -np.inf, np.inf, -np.inf
        behind = False
        for v in range(first[m], first[m + 1]):
            a, b, c = places[v, 0], places[v, 1], places[v, 2]
            z = row[8] * a + row[9] * b + row[10] * c + row[11]
            nearest, farthest = min(nearest, z), max(farthest, z)
            if z < near:
                behind = True
            else:
                x = (row[0] * a + row[1] * b + row[2] * c + row[3]) / z
                y = (row[4] * a + row[5] * b + row[6] * c + row[7]) / z
                left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        flat = (
            row[0] * (row[5] * row[10] - row[6] * row[9])
            - row[1] * (row[4] * row[10] - row[6] * row[8])
            + row[2] * (row[4] * row[9] - row[5] * row[8])
        )
        if not (abs(flat) > FLATTEST and abs(flat) < np.inf and farthest >= near and farthest < np.inf):
            continue
        if behind:
            left, right, top, bottom = 0.0, float(width), 0.0, float(height)
        x0 = np.floor(min(max(left, 0.0), width))
        x1 = np.ceil(min(max(right, 0.0), width))
        y0 = np.floor(min(max(top, 0.0), height))
        y1 = np.ceil(min(max(bottom, 0.0), height))
        if x1 > x0 and y1 > y0:
            box[layer, 0], box[layer, 1] = int(x0), int(y0)
            box[layer, 2], box[layer, 3] = int(x1 - x0), int(y1 - y0)
            depth[layer, 0], depth[layer, 1] = nearest, farthest


@kernel
def _cast(
    start: int,
    stop: int,
    factor: int,
    rows: Floats,
    box: Integers,
    first: Integers,
    start_m: float,
    rays: NDArray[Any],
) -> None:
    """Rays of layers start … stop − 1."""
    inverse, origin = np.empty((3, 3)), np.empty(3)
    for layer in range(start, stop):
        if box[layer, 2] == 0:
            continue
        row = rows[layer]
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            for n in range(3):
                p, q = (n + 1) % 3, (n + 2) % 3
                inverse[n, i] = row[4 * j + p] * row[4 * k + q] - row[4 * j + q] * row[4 * k + p]
        size = row[0] * inverse[0, 0] + row[1] * inverse[1, 0] + row[2] * inverse[2, 0]
        for n in range(3):
            for i in range(3):
                inverse[n, i] /= size
            origin[n] = -(inverse[n, 0] * row[3] + inverse[n, 1] * row[7] + inverse[n, 2] * row[11])
        at = first[layer]
        for down in range(box[layer, 3] * factor):
            y = box[layer, 1] + (down + 0.5) / factor
            for across in range(box[layer, 2] * factor):
                x = box[layer, 0] + (across + 0.5) / factor
                for n in range(3):
                    way = inverse[n, 0] * x + inverse[n, 1] * y + inverse[n, 2]
                    rays[at, n] = origin[n] + start_m * way
                    rays[at, 3 + n] = way
                at += 1
