# ruff: noqa: PLR0915 (compiled kernels are flat: a call with a structure costs more than arguments)
"""Stage 1 on the CPU: compiled, one layer after the other, each with its own depth buffer.

Faces are rasterised in homogeneous coordinates (Olano & Greer 1997, "Triangle scan conversion using 2D
homogeneous coordinates"), so that faces partly behind the camera need no clipping. Edges are walked row by
row (steep ones) or column by column (flat ones); a point where an edge passes between two pixel centres is
hidden if any face covers that point, which is tested while the faces are rasterised.

`visibility_torch` has the same arithmetic in the same order, so that both agree exactly.
All kernels are in this one file because numba's disk cache does not notice a change in another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.topology import MeshTopology
from inverse_graphics.rendering.embedded.visibility import (
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
from inverse_graphics.rendering.kernels import in_chunks, inner, kernel

LEAST = 5e-324  # the least positive float64

STAGES = ("transform", "face setup", "edges", "raster", "hiding", "collect")  # of `_layers`, for profiles
PER_FACE = 50  # nanoseconds, about


class Geometry(NamedTuple):
    """A `MeshLibrary` and its `MeshTopology` as kernels use them.

    In faces (F, 3) and edges (E, 5) vertices and faces are counted from the first ones of their mesh.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    solid: NDArray[np.bool_]
    closed: NDArray[np.bool_]
    edges: NDArray[np.int32]
    first_vertex: NDArray[np.int64]
    first_face: NDArray[np.int64]
    first_edge: NDArray[np.int64]

    @classmethod
    def from_library(cls, library: MeshLibrary, topology: MeshTopology) -> Geometry:
        """Convert the tensors once, for all images."""
        first_vertex, first_face = library.first_vertex.numpy(), library.first_face.numpy()
        first_edge = topology.first_edge.numpy()
        edges = topology.edges.numpy().copy()
        edges[:, :2] -= np.repeat(first_vertex[:-1], np.diff(first_edge))[:, None].astype(np.int32)
        paired = np.where(edges[:, 2:4] < 0, 0, np.repeat(first_face[:-1], np.diff(first_edge))[:, None])
        edges[:, 2:4] -= paired.astype(np.int32)
        own = library.faces.numpy() - np.repeat(first_vertex[:-1], np.diff(first_face))[:, None]
        return cls(
            library.vertices.double().numpy(),
            own.astype(np.int32),
            topology.solid.numpy(),
            topology.closed.numpy(),
            edges,
            first_vertex,
            first_face,
            first_edge,
        )


def find_in(
    geometry: Geometry, rows: NDArray[np.float64], meshes: NDArray[np.int64], clipping: Clipping
) -> Visibility:
    """Find the visible fragments of each layer; see `FindVisibility`."""
    faces = np.diff(geometry.first_face)[meshes[meshes >= 0]].sum()
    return _joined(
        in_chunks(
            lambda start, stop: find_until(len(STAGES), start, stop, geometry, rows, meshes, clipping),
            len(meshes),
            PER_FACE * int(faces),
        )
    )


def find_until(
    stages: int,
    start: int,
    stop: int,
    geometry: Geometry,
    rows: NDArray[np.float64],
    meshes: NDArray[np.int64],
    clipping: Clipping,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Run the first stages of `STAGES` on layers start … stop − 1; all of them give the visible fragments."""
    frame = (clipping.height, clipping.width, clipping.near, clipping.far)
    found: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
    found = _layers(stages, start, stop, rows, meshes, *geometry, *frame)
    return found


def _joined(parts: list[tuple[NDArray[np.int32], ...]]) -> Visibility:
    """Number the fragments of all chunks; within a chunk uncovered fragment i has index −1 − i."""
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
    """`rows`, or a larger copy if `more` rows do not fit after the `used` ones."""
    if used + more <= len(rows):
        return rows
    larger = np.empty((2 * (used + more), rows.shape[1]), rows.dtype)
    for i in range(used):
        for j in range(rows.shape[1]):
            larger[i, j] = rows[i, j]
    return larger


@inner
def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """First and last of 0 … size − 1 whose centre i − 0.5 lies in [low, high]."""
    first = min(max(low + 0.5 - ROUNDING, 0.0), float(size))
    last = min(max(high + 0.5 + ROUNDING, -1.0), size - 1.0)
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
    """Project a mesh; returns the range of pixels (columns, then rows; first, last) that it may touch,
    and whether all of it is in front of the near plane.

    Args:
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
    left, right = _span(x0 - 1.0, x1 + 1.0, columns)
    top, bottom = _span(y0 - 1.0, y1 + 1.0, rows)
    return left, right, top, bottom, whole


@inner
def _sound(h: NDArray[np.float64], v: int) -> bool:
    return abs(h[v, 0]) <= LARGEST and abs(h[v, 1]) <= LARGEST and abs(h[v, 2]) <= LARGEST


@inner
def _facings(
    h: NDArray[np.float64],
    faces: NDArray[np.int32],
    solid: NDArray[np.bool_],
    whole: bool,
    facing: NDArray[np.int8],
    determinant: NDArray[np.float64],
) -> None:
    """The side of each face that the camera sees: −1 the front, 1 the back, 0 neither or not rendered."""
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
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
def _contours(
    h: NDArray[np.float64],
    edges: NDArray[np.int32],
    facing: NDArray[np.int8],
    fronts: bool,
    shape: tuple[int, int],
    near: float,
    walks: NDArray[np.int32],
) -> tuple[int, int]:
    """List the edges that are discontinuities from this camera; returns the numbers of edges and of points.

    Args:
        walks: edge, 0 if it is followed from row to row or 1 from column to column, first and last of these,
            and the state of its points.  fronts as in `_candidates`.
    """
    count: Any = np.int64(0)  # a plain 0 would compile what follows twice, for a constant and a variable
    lines: Any = np.int64(0)
    for e in range(len(edges)):
        one = facing[edges[e, 2]]
        other = facing[edges[e, 3]] if edges[e, 3] >= 0 else one
        walks[count, 0] = e
        walks[count, 4] = INNER if edges[e, 3] >= 0 and one == other else OUTER
        smooth = edges[e, 4] == 0 and one == other
        count += 0 if smooth or (fronts and one >= 0 and other >= 0) else 1
    listed = count
    count = np.int64(0)
    for n in range(listed):
        e = walks[n, 0]
        i, j = edges[e, 0], edges[e, 1]
        if not (max(h[i, 2], h[j, 2]) >= near and _sound(h, i) and _sound(h, j)):
            continue
        steep = abs(h[i, 1] * h[j, 2] - h[i, 2] * h[j, 1])
        flat = abs(h[i, 2] * h[j, 0] - h[i, 0] * h[j, 2])
        if not max(steep, flat) > SHORTEST * abs(h[i, 2] * h[j, 2]):
            continue
        x0, x1, y0, y1 = _extent(h, i, j, near)
        along = 0 if steep >= flat else 1
        first, last = _span(y0, y1, shape[0]) if along == 0 else _span(x0, x1, shape[1])
        walks[count, 0], walks[count, 1], walks[count, 4] = e, along, walks[n, 4]
        walks[count, 2], walks[count, 3] = first, last
        if first <= last:
            count += 1
            lines += last - first + 1
    return count, lines


@inner
def _walk(
    h: NDArray[np.float64],
    edges: NDArray[np.int32],
    walks: NDArray[np.int32],
    count: int,
    shape: tuple[int, int],
    near: float,
    far: float,
    heads: NDArray[np.int32],
    points: NDArray[np.float64],
    links: NDArray[np.int32],
) -> int:
    """Record where the listed edges pass between adjacent pixel centres of a row, or of a column.

    Args:
        points: x, y, depth, position between the two centres in (0, 1].
        links: next point in the same gap, edge, state (OUTER, INNER or HIDDEN), pixel before the gap, along.
        heads: (2, pixels), first point of the gap after each pixel.

    Returns:
        The number of points.
    """
    used: Any = np.int64(0)
    for n in range(count):
        e, along = walks[n, 0], walks[n, 1]
        across = 1 - along
        gaps = shape[1] if along == 0 else shape[0]
        i, j = edges[e, 0], edges[e, 1]
        for line in range(walks[n, 2], walks[n, 3] + 1):
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
            pixel = row * shape[1] + column
            points[used, along] = where
            points[used, across] = centre
            points[used, 2] = depth
            points[used, 3] = (where + 0.5) - gap
            links[used, 0] = heads[along, pixel]
            links[used, 1] = e
            links[used, 2] = walks[n, 4]
            links[used, 3], links[used, 4] = pixel, along
            heads[along, pixel] = used
            used += 1
    return used


Sides = tuple[float, float, float, float, float, float, float, float, float]


@inner
def _side(h: NDArray[np.float64], a: int, b: int, sign: float) -> tuple[float, float, float]:
    return (
        sign * (h[a, 1] * h[b, 2] - h[a, 2] * h[b, 1]),
        sign * (h[a, 2] * h[b, 0] - h[a, 0] * h[b, 2]),
        sign * (h[a, 0] * h[b, 1] - h[a, 1] * h[b, 0]),
    )


@inner
def _sides(h: NDArray[np.float64], i: int, j: int, k: int, sign: float) -> Sides:
    """The three edge functions of a face, all ≥ 0 at the pixels in it; pairs in the order jk, ki, ij."""
    a, b, c = _side(h, j, k, sign)
    d, e, f = _side(h, k, i, sign)
    p, q, r = _side(h, i, j, sign)
    return a, b, c, d, e, f, p, q, r


@inner
def _on(a: float, b: float) -> float:
    """The smallest value of an edge function a·x + b·y + c at which a pixel centre counts as inside.

    0 for left and upper edges, else the smallest positive number: a centre on the common edge of two faces
    belongs to one of them, as if the edge were left of or above it.
    """
    leading = a if abs(a) >= abs(b) else b
    return 0.0 if leading > 0 else LEAST


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
def _candidates(
    h: NDArray[np.float64],
    faces: NDArray[np.int32],
    facing: NDArray[np.int8],
    whole: bool,
    fronts: bool,
    shape: tuple[int, int],
    near: float,
    boxes: NDArray[np.int32],
) -> int:
    """List the faces whose bounding box contains the centre of a row or of a column; returns their number.

    Args:
        boxes: face, first and last column, first and last row whose centres are in it.
        whole: all vertices are in front of the near plane.
        fronts: only the fronts of faces can be visible.
    """
    rows, columns = shape
    count: Any = np.int64(0)
    for f in range(len(faces)):
        if facing[f] == 0 or (fronts and facing[f] > 0):
            continue
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        if whole:
            x0, x1 = min(h[i, 3], h[j, 3], h[k, 3]), max(h[i, 3], h[j, 3], h[k, 3])
            y0, y1 = min(h[i, 4], h[j, 4], h[k, 4]), max(h[i, 4], h[j, 4], h[k, 4])
        else:
            x0, x1, y0, y1 = _cut_bounds(h, i, j, k, near)
        left, right = _span(x0, x1, columns)
        top, bottom = _span(y0, y1, rows)
        boxes[count, 0], boxes[count, 1], boxes[count, 2] = f, left, right
        boxes[count, 3], boxes[count, 4] = top, bottom
        count += 0 if right < left and bottom < top else 1
    return count


@inner
def _rasterise(
    h: NDArray[np.float64],
    faces: NDArray[np.int32],
    facing: NDArray[np.int8],
    determinant: NDArray[np.float64],
    boxes: NDArray[np.int32],
    count: int,
    columns: int,
    near: float,
    far: float,
    nearest: NDArray[np.float64],
    owner: NDArray[np.int32],
) -> None:
    """Fill the depth buffer `nearest` and its faces `owner`."""
    for n in range(count):
        f, left, right, top, bottom = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3], boxes[n, 4]
        if left > right or top > bottom:
            continue
        sign = float(facing[f])
        scale = sign * determinant[f]
        side = _sides(h, faces[f, 0], faces[f, 1], faces[f, 2], sign)
        on_u, on_v, on_w = _on(side[0], side[1]), _on(side[3], side[4]), _on(side[6], side[7])
        for row in range(top, bottom + 1):
            y = row - 0.5
            for column in range(left, right + 1):
                x = column - 0.5
                u = (side[0] * x + side[1] * y) + side[2]
                v = (side[3] * x + side[4] * y) + side[5]
                w = (side[6] * x + side[7] * y) + side[8]
                if (u >= on_u) & (v >= on_v) & (w >= on_w):
                    depth = scale / ((u + v) + w)
                    pixel = row * columns + column
                    if near <= depth <= far and depth < nearest[pixel]:
                        nearest[pixel] = depth
                        owner[pixel] = f


@inner
def _shift(bounds: tuple[int, int, int, int]) -> int:
    """The base-2 logarithm of the number of columns per bit, so that 64 bits suffice for a row of a layer."""
    shift: Any = np.int64(0)
    while (bounds[1] - bounds[0]) >> shift > 62:
        shift += 1
    return shift


@inner
def _bit(column: int, shift: int) -> Any:
    """The bit of a column, counted from the first that a layer may touch."""
    return np.uint64(1) << np.uint64(max(column, 0) >> shift)


@inner
def _by_row(
    count: int,
    columns: int,
    bounds: tuple[int, int, int, int],
    links: NDArray[np.int32],
    owner: NDArray[np.int32],
    edges: NDArray[np.int32],
    points: NDArray[np.float64],
    begin: NDArray[np.int32],
    marks: NDArray[np.uint64],
    order: NDArray[np.int32],
    places: NDArray[np.float64],
    own: NDArray[np.int32],
) -> None:
    """Sort the points between pixels with different faces by the row of the first of the two.

    Args:
        begin: (rows + 1,), start of each row's points; marks: (rows,), a bit for every few columns that have
            any, see `_bit`; order: (n,), indices of the points; places: (2, n), their x and y; own: (2, n),
            the faces of their edges.
    """
    top, bottom = bounds[2], bounds[3]
    begin[top : bottom + 2] = 0
    marks[top : bottom + 1] = 0
    shift = _shift(bounds)
    for k in range(count):
        pixel = links[k, 3]
        if owner[pixel] != owner[pixel + (1 if links[k, 4] == 0 else columns)]:
            row = pixel // columns
            begin[row] += 1
            marks[row] |= _bit(pixel - row * columns - bounds[0], shift)
    total: Any = np.int64(0)
    for row in range(top, bottom + 2):
        total += begin[row]
        begin[row] = total
    for k in range(count - 1, -1, -1):
        pixel = links[k, 3]
        if owner[pixel] != owner[pixel + (1 if links[k, 4] == 0 else columns)]:
            row = pixel // columns
            begin[row] -= 1
            n = begin[row]
            order[n], places[0, n], places[1, n] = k, points[k, 0], points[k, 1]
            own[0, n], own[1, n] = edges[links[k, 1], 2], edges[links[k, 1], 3]


@inner
def _test_points(
    h: NDArray[np.float64],
    faces: NDArray[np.int32],
    facing: NDArray[np.int8],
    determinant: NDArray[np.float64],
    boxes: NDArray[np.int32],
    count: int,
    bounds: tuple[int, int, int, int],
    columns: int,
    near: float,
    begin: NDArray[np.int32],
    marks: NDArray[np.uint64],
    order: NDArray[np.int32],
    places: NDArray[np.float64],
    own: NDArray[np.int32],
    points: NDArray[np.float64],
    links: NDArray[np.int32],
) -> None:
    """Mark the points that a face covers: a face that is nearer hides them.

    All points of the rows that a face may reach are tested at once, without a branch, as few are inside.
    """
    shift = _shift(bounds)
    for n in range(count):
        f, left, right, top, bottom = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3], boxes[n, 4]
        above = max(top - 1, bounds[2])
        reached = np.uint64(0)
        for row in range(above, bottom + 1):
            reached |= marks[row]
        if reached & (2 * _bit(right - bounds[0], shift) - _bit(left - 1 - bounds[0], shift)) == 0:
            continue
        start, stop = begin[above], begin[bottom + 1]
        sign = float(facing[f])
        scale = sign * determinant[f]
        side = _sides(h, faces[f, 0], faces[f, 1], faces[f, 2], sign)
        first, last = np.int64(0), np.int64(0)
        xs, ys, ones, others = (
            places[0, start:stop],
            places[1, start:stop],
            own[0, start:stop],
            own[1, start:stop],
        )
        for k in range(len(xs)):
            x, y = xs[k], ys[k]
            u = (side[0] * x + side[1] * y) + side[2]
            v = (side[3] * x + side[4] * y) + side[5]
            w = (side[6] * x + side[7] * y) + side[8]
            inside = (u >= 0) & (v >= 0) & (w >= 0) & (ones[k] != f) & (others[k] != f)
            last = max(last, np.int64(inside) * (k + 1))
            first = max(first, np.int64(inside) * (len(xs) - k))
        for k in range(stop - first, start + last):
            x, y = places[0, k], places[1, k]
            u = (side[0] * x + side[1] * y) + side[2]
            v = (side[3] * x + side[4] * y) + side[5]
            w = (side[6] * x + side[7] * y) + side[8]
            total = (u + v) + w
            if not ((u >= 0) & (v >= 0) & (w >= 0) & (total > 0) & (own[0, k] != f) & (own[1, k] != f)):
                continue
            point = order[k]
            pixel, along = links[point, 3], links[point, 4]
            row, column = pixel // columns, pixel % columns
            beside = left - 1 + along <= column <= right and top - along <= row <= bottom
            if beside and links[point, 2] != HIDDEN and scale / total >= near:
                nearer = scale / total < points[point, 2] * (1.0 - HIDDEN_BY)
                links[point, 2] = HIDDEN if nearer else INNER


@inner
def _best(first: int, before: int, after: int, points: NDArray[np.float64], links: NDArray[np.int32]) -> int:
    """The point of a gap where the visible face changes from `before` to `after`; −1 if there is none.

    Next to an empty pixel it is the outermost point with nothing behind it, so that the range between the
    covered centre and the silhouette counts as covered; else the nearest point with a surface behind it.
    Of equal ones the first found.
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
    """One crossing (target pixel, source pixel, point, code) for each gap between pixels of different faces.

    Args:
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


@inner
def _number(
    layer: int,
    first_face: int,
    bounds: tuple[int, int, int, int],
    shape: tuple[int, int],
    owner: NDArray[np.int32],
    number: NDArray[np.int32],
    covered: NDArray[np.int32],
    covered_count: int,
    bare: NDArray[np.int32],
    bare_count: int,
) -> tuple[int, int]:
    """Number the pixels that have a face and those that crossings need (number is 1 there), and list them."""
    rows, columns = shape
    left, right, top, bottom = bounds
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            pixel = row * columns + column
            face = owner[pixel]
            inside = 0 < row < rows - 1 and 0 < column < columns - 1
            if face >= 0 and (inside or number[pixel] == 1):
                number[pixel] = covered_count
                covered[covered_count, 0], covered[covered_count, 3] = layer, face + first_face
                covered[covered_count, 1], covered[covered_count, 2] = column - 1, row - 1
                covered_count += 1
            elif number[pixel] == 1:
                number[pixel] = -1 - bare_count
                bare[bare_count, 0], bare[bare_count, 3] = layer, -1
                bare[bare_count, 1], bare[bare_count, 2] = column - 1, row - 1
                bare_count += 1
    return covered_count, bare_count


@inner
def _write(
    layer: int,
    first_vertex: int,
    chosen: NDArray[np.int32],
    count: int,
    links: NDArray[np.int32],
    edges: NDArray[np.int32],
    number: NDArray[np.int32],
    columns: int,
    crossings: NDArray[np.int32],
    used: int,
) -> None:
    """Write the chosen crossings of a layer after the used rows, as described in `Visibility`."""
    for n in range(count):
        first = min(chosen[n, 0], chosen[n, 1])
        edge = links[chosen[n, 2], 1]
        crossings[used + n, 0] = number[chosen[n, 0]]
        crossings[used + n, 1] = number[chosen[n, 1]]
        crossings[used + n, 2] = layer
        crossings[used + n, 3] = edges[edge, 0] + first_vertex
        crossings[used + n, 4] = edges[edge, 1] + first_vertex
        crossings[used + n, 5] = first % columns - 1
        crossings[used + n, 6] = first // columns - 1
        crossings[used + n, 7] = chosen[n, 3]


@inner
def _most(first: NDArray[np.int64]) -> int:
    """The largest number of elements of one mesh."""
    most: Any = np.int64(0)
    for m in range(len(first) - 1):
        most = max(most, first[m + 1] - first[m])
    return most


@kernel
def _layers(
    stages: int,
    start: int,
    stop: int,
    matrices: NDArray[np.float64],
    meshes: NDArray[np.int64],
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
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
    most_vertices, most_faces, most_edges = _most(first_vertex), _most(first_face), _most(first_edge)
    h = np.empty((most_vertices, 5))
    facing = np.empty(most_faces, np.int8)
    determinant = np.empty(most_faces)
    boxes = np.empty((most_faces + 1, 5), np.int32)
    walks = np.empty((most_edges + 1, 5), np.int32)
    nearest = np.full(rows * columns, np.inf)
    owner = np.full(rows * columns, -1, np.int32)
    number = np.zeros(rows * columns, np.int32)
    heads = np.full((2, rows * columns), -1, np.int32)
    begin, marks = np.empty(rows + 1, np.int32), np.empty(rows, np.uint64)
    order, places, own = np.empty(256, np.int32), np.empty((2, 256)), np.empty((2, 256), np.int32)
    points = np.empty((256, 4))
    links = np.empty((256, 5), np.int32)
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
        if stages < 1:
            continue
        left, right, top, bottom, whole = _project(matrices[layer], own_vertices, h, near, rows, columns)
        if right < left or bottom < top or stages < 2:
            continue
        _facings(h, own_faces, solid[f0 : first_face[m + 1]], whole, facing, determinant)
        fronts = closed[m] and whole
        count = _candidates(h, own_faces, facing, whole, fronts, shape, near, boxes)
        if stages < 3:
            continue
        walk_count, most_points = _contours(h, own_edges, facing, fronts, shape, near, walks)
        points, links = _room(points, 0, most_points), _room(links, 0, most_points)
        if len(order) < len(points):
            order, places = np.empty(len(points), np.int32), np.empty((2, len(points)))
            own = np.empty((2, len(points)), np.int32)
        bounds = (left, right, top, bottom)
        used = _walk(h, own_edges, walks, walk_count, shape, near, far, heads, points, links)
        if stages >= 4:
            _rasterise(h, own_faces, facing, determinant, boxes, count, columns, near, far, nearest, owner)
        if stages >= 5:
            _by_row(used, columns, bounds, links, owner, own_edges, points, begin, marks, order, places, own)
            _test_points(
                h, own_faces, facing, determinant, boxes, count, bounds, columns, near,
                begin, marks, order, places, own, points, links,
            )  # fmt: skip
        if stages >= 6:
            chosen, chosen_count = _choose(bounds, shape, heads, points, links, owner, chosen, number)
            area = (right - left + 1) * (bottom - top + 1)
            covered = _room(covered, covered_count, area)
            bare = _room(bare, bare_count, area)
            crossings = _room(crossings, crossing_count, chosen_count)
            covered_count, bare_count = _number(
                layer, f0, bounds, shape, owner, number, covered, covered_count, bare, bare_count
            )
            _write(
                layer, v0, chosen, chosen_count, links, own_edges, number, columns, crossings, crossing_count
            )
            crossing_count += chosen_count
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                pixel = row * columns + column
                nearest[pixel] = np.inf
                owner[pixel] = -1
                number[pixel] = 0
                heads[0, pixel] = -1
                heads[1, pixel] = -1
    return covered[:covered_count], bare[:bare_count], crossings[:crossing_count]
