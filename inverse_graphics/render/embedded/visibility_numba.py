# ruff: noqa: PLR0912, PLR0915 (compiled kernels are flat: a call with a structure costs more than arguments)
"""Stage 1 on the CPU: compiled, one layer after the other, each with its own depth buffer.

Faces are rasterised in homogeneous coordinates (Olano & Greer 1997, "Triangle scan conversion using 2D
homogeneous coordinates"), so that faces partly behind the camera need no clipping. Edges are walked row by
row (the steep ones) or column by column (the flat ones); a point where an edge passes between two pixel
centres is hidden if any face covers that very point, which is tested while the faces are rasterised.

`visibility_torch` has the same arithmetic in the same order, so that both agree exactly.
All kernels stand in this one file because numba's disk cache does not notice a change in another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded.topology import MeshTopology
from inverse_graphics.render.embedded.visibility import (
    HIDDEN,
    HIDDEN_BY,
    INNER,
    LARGEST,
    OUTER,
    ROUNDING,
    SHORTEST,
    Clipping,
    Visibility,
)
from inverse_graphics.render.kernels import in_chunks, inner, kernel


class Geometry(NamedTuple):
    """A `MeshLibrary` and its `MeshTopology` as kernels take them."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    solid: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    edges: NDArray[np.int32]
    first_vertex: NDArray[np.int64]
    first_face: NDArray[np.int64]
    first_edge: NDArray[np.int64]

    @classmethod
    def of(cls, library: MeshLibrary, topology: MeshTopology) -> Geometry:
        """Turn the tensors around once, for all pictures."""
        return cls(
            library.vertices.double().numpy(),
            library.faces.numpy(),
            topology.solid.numpy(),
            topology.closed.numpy(),
            topology.edges.numpy(),
            library.first_vertex.numpy(),
            library.first_face.numpy(),
            topology.first_edge.numpy(),
        )


def find_in(
    geometry: Geometry, rows: NDArray[np.float64], meshes: NDArray[np.int64], clipping: Clipping
) -> Visibility:
    """Find what is visible in each layer; see `FindVisibility`."""
    frame = (clipping.height, clipping.width, clipping.near, clipping.far)
    parts = in_chunks(lambda start, stop: _layers(start, stop, rows, meshes, *geometry, *frame), len(meshes))
    return _joined(parts)


def _joined(parts: list[tuple[NDArray[np.int32], ...]]) -> Visibility:
    """Number the fragments of all chunks; a chunk calls its uncovered fragment i −1 − i."""
    covered = sum(len(part[0]) for part in parts)
    filled, bare = 0, covered
    crossings = []
    for with_face, without_face, crossing in parts:
        ends = crossing[:, :2]
        crossing[:, :2] = np.where(ends < 0, bare - 1 - ends, ends + filled)
        crossings.append(crossing)
        filled += len(with_face)
        bare += len(without_face)
    fragments = [part[0] for part in parts] + [part[1] for part in parts]
    return Visibility(
        fragments=torch.from_numpy(np.concatenate([np.zeros((0, 4), np.int32), *fragments])),
        covered=covered,
        crossings=torch.from_numpy(np.concatenate([np.zeros((0, 8), np.int32), *crossings])),
    )


@inner
def _room(rows: NDArray[Any], used: int, more: int) -> NDArray[Any]:
    """`rows`, or a larger copy if `more` rows do not fit behind the `used` ones."""
    if used + more <= len(rows):
        return rows
    larger = np.empty((2 * (used + more), rows.shape[1]), rows.dtype)
    for i in range(used):
        for j in range(rows.shape[1]):
            larger[i, j] = rows[i, j]
    return larger


@inner
def _span(low: float, high: float, shift: float, size: int) -> tuple[int, int]:
    """First and last of 0 … size − 1 whose value i − 0.5 (shift 0.5) lies in [low, high]."""
    first = min(max(low + shift - ROUNDING, 0.0), float(size))
    last = min(max(high + shift + ROUNDING, -1.0), size - 1.0)
    return int(np.ceil(first)), int(np.floor(last))


@inner
def _extent(h: NDArray[np.float64], i: int, j: int, near: float) -> tuple[float, float, float, float]:
    """Bounds (x, y; low, high) of the part of the segment i j in front of the near plane; empty if none."""
    x0, x1, y0, y1 = np.inf, -np.inf, np.inf, -np.inf
    for k in (i, j):
        if h[k, 2] >= near:
            x, y = h[k, 3], h[k, 4]
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    if (h[i, 2] >= near) != (h[j, 2] >= near):
        t = (near - h[i, 2]) / (h[j, 2] - h[i, 2])
        x = (h[i, 0] + t * (h[j, 0] - h[i, 0])) / near
        y = (h[i, 1] + t * (h[j, 1] - h[i, 1])) / near
        x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
    return x0, x1, y0, y1


@inner
def _project(
    matrix: NDArray[np.float64],
    vertices: NDArray[np.float64],
    h: NDArray[np.float64],
    near: float,
    rows: int,
    columns: int,
) -> tuple[int, int, int, int, bool]:
    """Project a mesh; returns the pixels (columns, then rows; first, last) that it may touch,
    and whether all of it is in front of the near plane.

    h: (V, 5): x · z, y · z, z, and where z ≥ near also x, y, in pixels.
    """
    x0, x1, y0, y1 = np.inf, -np.inf, np.inf, -np.inf
    front = False
    whole = True
    for v in range(len(vertices)):
        a, b, c = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for k in range(3):
            h[v, k] = ((matrix[4 * k] * a + matrix[4 * k + 1] * b) + matrix[4 * k + 2] * c) + matrix[
                4 * k + 3
            ]
        if h[v, 2] >= near:
            x, y = h[v, 0] / h[v, 2], h[v, 1] / h[v, 2]
            h[v, 3], h[v, 4] = x, y
        else:
            x, y = np.nan, np.nan
        if abs(h[v, 0]) <= LARGEST and abs(h[v, 1]) <= LARGEST and near <= h[v, 2] <= LARGEST:
            front = True
            x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        else:
            whole = False
    if not front:
        return 0, -1, 0, -1, whole
    if not whole:
        return 0, columns - 1, 0, rows - 1, whole
    left, right = _span(x0 - 1.0, x1 + 1.0, 0.5, columns)
    top, bottom = _span(y0 - 1.0, y1 + 1.0, 0.5, rows)
    return left, right, top, bottom, whole


@inner
def _sound(h: NDArray[np.float64], v: int) -> bool:
    return abs(h[v, 0]) <= LARGEST and abs(h[v, 1]) <= LARGEST and abs(h[v, 2]) <= LARGEST


@inner
def _facings(
    h: NDArray[np.float64],
    faces: NDArray[np.int64],
    solid: NDArray[np.bool_],
    first_vertex: int,
    whole: bool,
    facing: NDArray[np.int8],
    determinant: NDArray[np.float64],
) -> None:
    """Which side of each face the camera sees: −1 the front, 1 the back, 0 neither or not to be drawn."""
    for f in range(len(faces)):
        i, j, k = faces[f, 0] - first_vertex, faces[f, 1] - first_vertex, faces[f, 2] - first_vertex
        sound = solid[f] and (whole or (_sound(h, i) and _sound(h, j) and _sound(h, k)))
        facing[f] = 0
        if sound:
            x = h[j, 1] * h[k, 2] - h[j, 2] * h[k, 1]
            y = h[j, 2] * h[k, 0] - h[j, 0] * h[k, 2]
            z = h[j, 0] * h[k, 1] - h[j, 1] * h[k, 0]
            d = (h[i, 0] * x + h[i, 1] * y) + h[i, 2] * z
            determinant[f] = d
            facing[f] = 1 if d > 0 else (-1 if d < 0 else 0)


@inner
def _cross_rows(
    h: NDArray[np.float64],
    i: int,
    j: int,
    edge: int,
    along: int,
    low: float,
    high: float,
    shape: tuple[int, int],
    near: float,
    far: float,
    heads: NDArray[np.int32],
    points: NDArray[np.float64],
    links: NDArray[np.int32],
    used: int,
    state: int,
) -> tuple[NDArray[np.float64], NDArray[np.int32], int]:
    """Note where an edge passes between neighbouring pixel centres; along = 0: of one row, 1: of a column.

    points: x, y, depth, place between the two centres in (0, 1].  links: next point in the same gap,
    edge, state (OUTER, INNER or HIDDEN).  heads: first point of the gap after each pixel.
    """
    across = 1 - along
    lines, gaps = (shape[0], shape[1]) if along == 0 else (shape[1], shape[0])
    first, last = _span(low, high, 0.5, lines)
    if last < first:
        return points, links, used
    if used + last - first + 1 > len(points):
        points = _room(points, used, last - first + 1)
        links = _room(links, used, last - first + 1)
    for line in range(first, last + 1):
        centre = line - 0.5
        p = h[i, across] - centre * h[i, 2]
        q = h[j, across] - centre * h[j, 2]
        if (p >= 0) == (q >= 0):
            continue
        t = p / (p - q)
        depth = h[i, 2] + t * (h[j, 2] - h[i, 2])
        if not near <= depth <= far:
            continue
        where = (h[i, along] + t * (h[j, along] - h[i, along])) / depth
        if not -0.5 < where <= gaps - 1.5:
            continue
        gap = int(np.ceil(where + 0.5)) - 1
        row, column = (line, gap) if along == 0 else (gap, line)
        points[used, along] = where
        points[used, across] = centre
        points[used, 2] = depth
        points[used, 3] = (where + 0.5) - gap
        pixel = row * shape[1] + column
        links[used, 0] = heads[pixel]
        links[used, 1] = edge
        links[used, 2] = state
        heads[pixel] = used
        used += 1
    return points, links, used


@inner
def _cross_edges(
    h: NDArray[np.float64],
    edges: NDArray[np.int32],
    facing: NDArray[np.int8],
    first_vertex: int,
    first_face: int,
    fronts: bool,
    shape: tuple[int, int],
    near: float,
    far: float,
    heads: NDArray[np.int32],
    points: NDArray[np.float64],
    links: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.int32], int]:
    """Walk every edge that is a discontinuity from here; heads: (2, pixels); fronts as in `_rasterise`."""
    used: Any = np.int64(
        0
    )  # a plain 0 would compile everything below twice, for a constant and for a variable
    for e in range(len(edges)):
        one = facing[edges[e, 2] - first_face]
        other = facing[edges[e, 3] - first_face] if edges[e, 3] >= 0 else one
        if (edges[e, 4] == 0 and one == other) or (fronts and one >= 0 and other >= 0):
            continue
        i, j = edges[e, 0] - first_vertex, edges[e, 1] - first_vertex
        if not (max(h[i, 2], h[j, 2]) >= near and _sound(h, i) and _sound(h, j)):
            continue
        steep = abs(h[i, 1] * h[j, 2] - h[i, 2] * h[j, 1])
        flat = abs(h[i, 2] * h[j, 0] - h[i, 0] * h[j, 2])
        if not max(steep, flat) > SHORTEST * abs(h[i, 2] * h[j, 2]):
            continue
        state = INNER if edges[e, 3] >= 0 and one == other else OUTER
        x0, x1, y0, y1 = _extent(h, i, j, near)
        along = 0 if steep >= flat else 1
        low, high = (y0, y1) if along == 0 else (x0, x1)
        points, links, used = _cross_rows(
            h, i, j, e, along, low, high, shape, near, far, heads[along], points, links, used, state
        )
    return points, links, used


@inner
def _judge(
    first: int,
    side: NDArray[np.float64],
    scale: float,
    face: int,
    near: float,
    edges: NDArray[np.int32],
    points: NDArray[np.float64],
    links: NDArray[np.int32],
) -> None:
    """Tell the points linked from `first` of a face that covers them: nearer, it hides them."""
    k = first
    while k >= 0:
        if links[k, 2] != HIDDEN:
            x, y = points[k, 0], points[k, 1]
            u = (side[0] * x + side[1] * y) + side[2]
            v = (side[3] * x + side[4] * y) + side[5]
            w = (side[6] * x + side[7] * y) + side[8]
            total = (u + v) + w
            if u >= 0 and v >= 0 and w >= 0 and total > 0:
                own = edges[links[k, 1], 2] == face or edges[links[k, 1], 3] == face
                if not own and scale / total >= near:
                    nearer = scale / total < points[k, 2] * (1.0 - HIDDEN_BY)
                    links[k, 2] = HIDDEN if nearer else INNER
        k = links[k, 0]


@inner
def _sides(h: NDArray[np.float64], i: int, j: int, k: int, sign: float, side: NDArray[np.float64]) -> None:
    """The three edge functions of a face, all ≥ 0 at the pixels in it; pairs in the order jk, ki, ij.

    Last, 1 for each edge on which a pixel centre counts as inside: the left and the upper ones, so that
    of two faces with a common edge one has it, and an edge through a centre is met from its left or above.
    """
    n = 0
    for a, b in ((j, k), (k, i), (i, j)):
        side[n] = sign * (h[a, 1] * h[b, 2] - h[a, 2] * h[b, 1])
        side[n + 1] = sign * (h[a, 2] * h[b, 0] - h[a, 0] * h[b, 2])
        side[n + 2] = sign * (h[a, 0] * h[b, 1] - h[a, 1] * h[b, 0])
        leading = side[n] if abs(side[n]) >= abs(side[n + 1]) else side[n + 1]
        side[9 + n // 3] = 1.0 if leading > 0 else 0.0
        n += 3


@inner
def _within(value: float, closed: float) -> bool:
    return value > 0 or (value == 0 and closed > 0)


@inner
def _cut_bounds(
    h: NDArray[np.float64], i: int, j: int, k: int, near: float
) -> tuple[float, float, float, float]:
    """Bounds of the part of a face in front of the near plane; empty if there is none."""
    a0, a1, b0, b1 = _extent(h, i, j, near)
    c0, c1, d0, d1 = _extent(h, j, k, near)
    e0, e1, f0, f1 = _extent(h, k, i, near)
    return min(a0, c0, e0), max(a1, c1, e1), min(b0, d0, f0), max(b1, d1, f1)


@inner
def _rasterise(
    h: NDArray[np.float64],
    faces: NDArray[np.int64],
    facing: NDArray[np.int8],
    determinant: NDArray[np.float64],
    edges: NDArray[np.int32],
    first_vertex: int,
    first_face: int,
    whole: bool,
    fronts: bool,
    shape: tuple[int, int],
    near: float,
    far: float,
    heads: NDArray[np.int32],
    points: NDArray[np.float64],
    links: NDArray[np.int32],
    nearest: NDArray[np.float64],
    owner: NDArray[np.int32],
) -> None:
    """Fill the depth buffer `nearest` and its faces `owner` (numbered from 0), and judge crossing points.

    whole: all vertices are in front of the near plane.  fronts: only the fronts of faces can be seen.
    """
    side = np.empty(12)
    rows, columns = shape
    for f in range(len(faces)):
        if facing[f] == 0 or (fronts and facing[f] > 0):
            continue
        i, j, k = faces[f, 0] - first_vertex, faces[f, 1] - first_vertex, faces[f, 2] - first_vertex
        if whole:
            x0, x1 = min(h[i, 3], h[j, 3], h[k, 3]), max(h[i, 3], h[j, 3], h[k, 3])
            y0, y1 = min(h[i, 4], h[j, 4], h[k, 4]), max(h[i, 4], h[j, 4], h[k, 4])
        else:
            x0, x1, y0, y1 = _cut_bounds(h, i, j, k, near)
        left, right = _span(x0, x1, 0.5, columns)
        top, bottom = _span(y0, y1, 0.5, rows)
        if right < left and bottom < top:
            continue
        sign = float(facing[f])
        scale = sign * determinant[f]
        ready = left <= right and top <= bottom
        if ready:
            _sides(h, i, j, k, sign, side)
        for row in range(top, bottom + 1):
            y = row - 0.5
            for column in range(left, right + 1):
                x = column - 0.5
                u = (side[0] * x + side[1] * y) + side[2]
                v = (side[3] * x + side[4] * y) + side[5]
                w = (side[6] * x + side[7] * y) + side[8]
                if _within(u, side[9]) and _within(v, side[10]) and _within(w, side[11]):
                    depth = scale / ((u + v) + w)
                    pixel = row * columns + column
                    if near <= depth <= far and depth < nearest[pixel]:
                        nearest[pixel] = depth
                        owner[pixel] = f
        for row in range(top, bottom + 1):
            for column in range(max(left - 1, 0), right + 1):
                first = heads[0, row * columns + column]
                if first >= 0:
                    if not ready:
                        _sides(h, i, j, k, sign, side)
                        ready = True
                    _judge(first, side, scale, f + first_face, near, edges, points, links)
        for row in range(max(top - 1, 0), bottom + 1):
            for column in range(left, right + 1):
                first = heads[1, row * columns + column]
                if first >= 0:
                    if not ready:
                        _sides(h, i, j, k, sign, side)
                        ready = True
                    _judge(first, side, scale, f + first_face, near, edges, points, links)


@inner
def _best(first: int, before: int, after: int, points: NDArray[np.float64], links: NDArray[np.int32]) -> int:
    """The point of a gap where what is seen changes from face `before` to `after`; −1 if there is none.

    Beside an empty pixel the outermost point with nothing behind it, so that what lies between the
    covered centre and the silhouette counts as covered; else the nearest point with something behind it.
    Of equals the first found.
    """
    best = -1
    k = first
    wanted = OUTER if before < 0 or after < 0 else INNER
    while k >= 0:
        if links[k, 2] == wanted:
            if wanted == INNER:
                better = best < 0 or points[k, 2] <= points[best, 2]
            elif before < 0:
                better = best < 0 or points[k, 3] <= points[best, 3]
            else:
                better = best < 0 or points[k, 3] >= points[best, 3]
            if better:
                best = k
        k = links[k, 0]
    return best


@inner
def _choose(
    bounds: tuple[int, int, int, int],
    shape: tuple[int, int],
    heads: NDArray[np.int32],
    points: NDArray[np.float64],
    links: NDArray[np.int32],
    owner: NDArray[np.int32],
    chosen: NDArray[np.int32],
    number: NDArray[np.int32],
) -> tuple[NDArray[np.int32], int]:
    """One crossing (target pixel, source pixel, point, code) for each gap between unlike pixels.

    number: set to 1 at the pixels that the crossings need.
    """
    rows, columns = shape
    left, right, top, bottom = bounds
    used: Any = np.int64(0)
    for axis in range(2):
        step = 1 if axis == 0 else columns
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                pixel = row * columns + column
                if heads[axis, pixel] < 0 or owner[pixel] == owner[pixel + step]:
                    continue
                point = _best(heads[axis, pixel], owner[pixel], owner[pixel + step], points, links)
                if point < 0:
                    continue
                second = 1 if points[point, 3] >= 0.5 else 0
                target = pixel + second * step
                r, c = target // columns, target % columns
                if not (0 < r < rows - 1 and 0 < c < columns - 1):
                    continue
                if used == len(chosen):
                    chosen = _room(chosen, used, used)
                chosen[used, 0] = target
                chosen[used, 1] = pixel + (1 - second) * step
                chosen[used, 2] = point
                chosen[used, 3] = 2 * axis + second
                used += 1
                number[pixel] = 1
                number[pixel + step] = 1
    return chosen, used


@kernel
def _layers(
    start: int,
    stop: int,
    matrices: NDArray[np.float64],
    meshes: NDArray[np.int64],
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    solid: NDArray[np.bool_],
    closed: NDArray[np.bool_],
    edges: NDArray[np.int32],
    first_vertex: NDArray[np.int64],
    first_face: NDArray[np.int64],
    first_edge: NDArray[np.int64],
    height: int,
    width: int,
    near: float,
    far: float,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Layers start … stop − 1: fragments with a face, fragments without, crossings."""
    rows, columns = height + 2, width + 2
    shape = (rows, columns)
    most_vertices = 0
    most_faces = 0
    for m in range(len(first_vertex) - 1):
        most_vertices = max(most_vertices, first_vertex[m + 1] - first_vertex[m])
        most_faces = max(most_faces, first_face[m + 1] - first_face[m])
    h = np.empty((most_vertices, 5))
    facing = np.empty(most_faces, np.int8)
    determinant = np.empty(most_faces)
    nearest = np.full(rows * columns, np.inf)
    owner = np.full(rows * columns, -1, np.int32)
    number = np.zeros(rows * columns, np.int32)
    heads = np.full((2, rows * columns), -1, np.int32)
    points = np.empty((256, 4))
    links = np.empty((256, 3), np.int32)
    chosen = np.empty((256, 4), np.int32)
    covered = np.empty((256 * (stop - start) + 16, 4), np.int32)
    bare = np.empty((64 * (stop - start) + 16, 4), np.int32)
    crossings = np.empty((128 * (stop - start) + 16, 8), np.int32)
    covered_count, bare_count, crossing_count = np.int64(0), np.int64(0), np.int64(0)
    for layer in range(start, stop):
        m = meshes[layer]
        if m < 0:
            continue
        v0, f0 = first_vertex[m], first_face[m]
        own_vertices = vertices[v0 : first_vertex[m + 1]]
        own_faces = faces[f0 : first_face[m + 1]]
        own_edges = edges[first_edge[m] : first_edge[m + 1]]
        left, right, top, bottom, whole = _project(matrices[layer], own_vertices, h, near, rows, columns)
        if right < left or bottom < top:
            continue
        _facings(h, own_faces, solid[f0 : first_face[m + 1]], v0, whole, facing, determinant)
        fronts = closed[m] and whole
        points, links, _ = _cross_edges(
            h, own_edges, facing, v0, f0, fronts, shape, near, far, heads, points, links
        )
        _rasterise(
            h, own_faces, facing, determinant, own_edges, v0, f0, whole, fronts, shape, near, far,
            heads, points, links, nearest, owner,
        )  # fmt: skip
        chosen, chosen_count = _choose(
            (left, right, top, bottom), shape, heads, points, links, owner, chosen, number
        )
        area = (right - left + 1) * (bottom - top + 1)
        covered = _room(covered, covered_count, area)
        bare = _room(bare, bare_count, area)
        crossings = _room(crossings, crossing_count, chosen_count)
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                pixel = row * columns + column
                face = owner[pixel]
                inside = 0 < row < rows - 1 and 0 < column < columns - 1
                if face >= 0 and (inside or number[pixel] == 1):
                    number[pixel] = covered_count
                    covered[covered_count, 0] = layer
                    covered[covered_count, 1] = column - 1
                    covered[covered_count, 2] = row - 1
                    covered[covered_count, 3] = face + f0
                    covered_count += 1
                elif number[pixel] == 1:
                    number[pixel] = -1 - bare_count
                    bare[bare_count, 0] = layer
                    bare[bare_count, 1] = column - 1
                    bare[bare_count, 2] = row - 1
                    bare[bare_count, 3] = -1
                    bare_count += 1
        for n in range(chosen_count):
            first = min(chosen[n, 0], chosen[n, 1])
            edge = links[chosen[n, 2], 1]
            crossings[crossing_count, 0] = number[chosen[n, 0]]
            crossings[crossing_count, 1] = number[chosen[n, 1]]
            crossings[crossing_count, 2] = layer
            crossings[crossing_count, 3] = own_edges[edge, 0]
            crossings[crossing_count, 4] = own_edges[edge, 1]
            crossings[crossing_count, 5] = first % columns - 1
            crossings[crossing_count, 6] = first // columns - 1
            crossings[crossing_count, 7] = chosen[n, 3]
            crossing_count += 1
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                pixel = row * columns + column
                nearest[pixel] = np.inf
                owner[pixel] = -1
                number[pixel] = 0
                heads[0, pixel] = -1
                heads[1, pixel] = -1
    return covered[:covered_count], bare[:bare_count], crossings[:crossing_count]
