# ruff: noqa: PLR0912, PLR0915 (compiled kernels are flat: a call with a structure costs more than arguments)
"""Stage 2 on the CPU: one compiled pass over the fragments forward, and one backward, derived by hand.

`drawing`, `shading` and `visibility` have the reference implementation in plain torch. A layer depends on its
mesh, which is constant, and on its 21 parameters, so the backward pass ends in 21 sums per layer. Internal
values are float64. All kernels and their constants are in this one file because numba's disk cache does not
notice a change in another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.shading import Corners, Slopes, Textures
from inverse_graphics.rendering.embedded.visibility import Clipping, Visibility
from inverse_graphics.rendering.kernels import in_chunks, inner, kernel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rows = NDArray[np.int32]

OUTSIDE = 0.01  # as in `shading`
EPS = 1e-30  # as in `shading` and `coverage`
NORMAL_FLOOR = 1e-12  # as in `shading`
MIN_COVERAGE = 1e-6  # as in `drawing`
PER_FRAGMENT = 60  # nanoseconds, about
ROW = 1 << 32  # the index of a pixel increases by this from row to row
BEFORE, AFTER = (1, 4), (2, 8)  # bits: an edge passes before or after a pixel, along either axis


class Tables(NamedTuple):
    """Attributes of a library's faces, by face and corner; never differentiated.

    Attributes:
        vertices: (F, 3, 3).
        normals: (F, 3, 3).
        colours: (F, 3, 3).
        uv: (F, 3, 2).
        mesh: (F,).
        places: (V, 3), all vertices.
        texels: as in `Textures`.
        first: as in `Textures`.
        size: as in `Textures`.
        levels: as in `Textures`.
    """

    vertices: Floats
    normals: Floats
    colours: Floats
    uv: Floats
    mesh: Integers
    places: Floats
    texels: Floats
    first: Integers
    size: Integers
    levels: Integers

    @classmethod
    def from_library(cls, library: MeshLibrary, corners: Corners, textures: Textures) -> Tables:
        """Rearrange the tensors of a library, so that the data of one fragment is contiguous."""

        def by_face(values: Tensor) -> Floats:
            return np.ascontiguousarray(values.permute(1, 2, 0).double().numpy())

        return cls(
            vertices=by_face(corners.vertices[:3]),
            normals=by_face(corners.normals),
            colours=by_face(corners.colours),
            uv=by_face(corners.uv),
            mesh=corners.mesh.numpy(),
            places=library.vertices.double().numpy(),
            texels=textures.texels.double().numpy(),
            first=textures.first.numpy(),
            size=textures.size.numpy(),
            levels=textures.levels.numpy(),
        )


def draw(
    parameters: Tensor, visibility: Visibility, tables: Tables, clipping: Clipping, slopes: Slopes
) -> tuple[Tensor, Tensor, Tensor]:
    """Shade and blend the fragments of L layers: rgb (L, 3, H, W), depth (L, H, W), alpha (L, H, W)."""
    return Draw.apply(parameters, visibility, tables, clipping, slopes)  # type: ignore[no-untyped-call]


class Draw(torch.autograd.Function):
    """`draw`, with its backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        parameters: Tensor,
        visibility: Visibility,
        tables: Tables,
        clipping: Clipping,
        slopes: Slopes,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Shade, blend, and write every layer."""
        rows = as_rows(parameters)
        seen = Seen.from_visibility(visibility, len(rows))
        work = shade(rows, seen, tables, parameters.dtype)
        size = (len(rows), clipping.height, clipping.width)
        planes = [parameters.new_empty(size[0], 3, *size[1:]), *parameters.new_empty(2, *size)]
        arrays = [plane.numpy() for plane in planes]
        in_chunks(lambda start, stop: _spread(start, stop, *seen.parts, work.rendered, *arrays), len(rows))
        ctx.saved = (rows, seen, tables, work, slopes)
        ctx.dtype = parameters.dtype
        return planes[0], planes[1], planes[2]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Sum the gradients of all fragments of a layer in its parameters."""
        rows, seen, tables, work, slopes = ctx.saved
        given = [gradient.contiguous().numpy() for gradient in gradients]
        by_rendered = np.empty_like(work.mixed)
        in_chunks(lambda start, stop: _gather(start, stop, *seen.parts, *given, by_rendered), len(rows))
        sums = shade_backward(rows, seen, tables, work, by_rendered, slopes)
        return torch.from_numpy(sums).to(ctx.dtype), None, None, None, None


def as_rows(parameters: Tensor) -> Floats:
    """Convert the parameters of layers for kernels."""
    return np.ascontiguousarray(parameters.detach().double().numpy())


class Seen(NamedTuple):
    """A `Visibility` as arrays, with the start of each layer's part: (L + 1,) each."""

    fragments: Rows
    crossings: Rows
    covered_from: Integers
    bare_from: Integers
    crossings_from: Integers

    @classmethod
    def from_visibility(cls, visibility: Visibility, layers: int) -> Seen:
        """Find the start of each layer."""
        fragments, crossings = visibility.fragments.numpy(), visibility.crossings.numpy()
        covered = visibility.covered
        edges = np.arange(layers + 1)
        return cls(
            fragments,
            crossings,
            np.searchsorted(fragments[:covered, 0], edges),
            covered + np.searchsorted(fragments[covered:, 0], edges),
            np.searchsorted(crossings[:, 2], edges),
        )

    @property
    def parts(self) -> tuple[Rows, Integers, Integers]:
        """Fragments, and the starts of each layer's."""
        return self.fragments, self.covered_from, self.bare_from


class Work(NamedTuple):
    """Results for n fragments, with the values that the backward pass needs.

    Attributes:
        centres: (n, 5), r, g, b, depth, covered at each pixel centre.
        remaining: (n, 2), its share that remains after blending with horizontal and vertical neighbours.
        mixed: (n, 5), after blending.
        share: (k,), of each crossing.
        rendered: (n, 5), r, g, b, depth, alpha of the layer, in its precision.
    """

    centres: Floats
    remaining: Floats
    mixed: Floats
    share: Floats
    rendered: NDArray[Any]


def shade(rows: Floats, seen: Seen, tables: Tables, dtype: torch.dtype) -> Work:
    """Shade and blend the fragments of all layers."""
    count = len(seen.fragments)
    work = Work(
        np.empty((count, 5)),
        np.empty((count, 2)),
        np.empty((count, 5)),
        np.empty(len(seen.crossings)),
        np.empty((count, 5), np.float64 if dtype == torch.float64 else np.float32),
    )
    in_chunks(
        lambda start, stop: _forward(start, stop, rows, *seen, *tables, *work),
        len(rows),
        PER_FRAGMENT * count,
    )
    return work


def shade_backward(
    rows: Floats, seen: Seen, tables: Tables, work: Work, by_rendered: Floats, slopes: Slopes
) -> Floats:
    """The backward pass of `shade`, from gradients of `work.rendered` (n, 5) to those of the rows (L, 21)."""
    sums = np.zeros_like(rows)
    remaining = work[:4]
    in_chunks(
        lambda start, stop: _backward(
            start, stop, rows, *seen, *tables, *remaining, by_rendered, sums, slopes == "surface"
        ),
        len(rows),
        PER_FRAGMENT * len(by_rendered),
    )
    return sums


@inner
def _frame(row: Floats, x: float, y: float, vertices: Floats, face: int, frame: Floats) -> float:
    """Corners of a face relative to a pixel's centre; returns twice the signed area.

    Args:
        frame: (5, 3), by corner: right · z, down · z, z, the area opposite to it, barycentric coordinate.
    """
    for i in range(3):
        a, b, c = vertices[face, i, 0], vertices[face, i, 1], vertices[face, i, 2]
        z = row[8] * a + row[9] * b + row[10] * c + row[11]
        frame[0, i] = row[0] * a + row[1] * b + row[2] * c + row[3] - x * z
        frame[1, i] = row[4] * a + row[5] * b + row[6] * c + row[7] - y * z
        frame[2, i] = z
    total = 0.0
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        frame[3, i] = frame[0, j] * frame[1, k] - frame[0, k] * frame[1, j]
        total += frame[3, i]
    if abs(total) < EPS:
        total = -EPS if total < 0 else EPS
    for i in range(3):
        frame[4, i] = min(max(frame[3, i] / total, -OUTSIDE), 1 + OUTSIDE)
    return total


@inner
def _level(frame: Floats, total: float, uv: Floats, face: int, width: int, height: int, levels: int) -> float:
    """The mip level at which the longer of the steps to the adjacent pixels is one texel."""
    longest = 1.0
    for axis in range(2):
        step = 0.0
        parts = frame[1 - axis]
        sum_u, sum_v, u, v = 0.0, 0.0, 0.0, 0.0
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            area = frame[2, k] * parts[j] - frame[2, j] * parts[k]
            if axis == 1:
                area = -area
            step += area
            sum_u += area * uv[face, i, 0]
            sum_v += area * uv[face, i, 1]
            u += frame[4, i] * uv[face, i, 0]
            v += frame[4, i] * uv[face, i, 1]
        by_u, by_v = (sum_u - u * step) / total * width, (sum_v - v * step) / total * height
        longest = max(longest, by_u * by_u + by_v * by_v)
    return min(0.5 * np.log2(longest), levels - 1.0)


@inner
def _bilinear(
    texels: Floats, first: int, height: int, width: int, u: float, v: float, weight: float, out: Floats
) -> None:
    """Add to out (3, 3) a texture's colour at u, v, and its slopes in u and in v, times a weight."""
    column, row = u * width - 0.5, (1 - v) * height - 0.5
    left, top = np.floor(column), np.floor(row)
    a, b = column - left, row - top
    c0, r0 = int(left) % width, int(top) % height
    c1, r1 = (c0 + 1) % width, (r0 + 1) % height
    for c in range(3):
        nw, ne = texels[first + r0 * width + c0, c], texels[first + r0 * width + c1, c]
        sw, se = texels[first + r1 * width + c0, c], texels[first + r1 * width + c1, c]
        upper, lower = nw + (ne - nw) * a, sw + (se - sw) * a
        out[0, c] += weight * (upper + (lower - upper) * b)
        out[1, c] += weight * width * ((ne - nw) * (1 - b) + (se - sw) * b)
        out[2, c] -= weight * height * (lower - upper)


@inner
def _texture(
    frame: Floats,
    total: float,
    uv: Floats,
    face: int,
    mesh: int,
    texels: Floats,
    first: Integers,
    size: Integers,
    levels: Integers,
    out: Floats,
) -> None:
    """Colour of the texture (out[0]) and its slopes in u (out[1]) and v (out[2]); white without one."""
    white = levels[mesh] == 0
    for c in range(3):
        out[0, c], out[1, c], out[2, c] = 1.0 if white else 0.0, 0.0, 0.0
    if white:
        return
    u = frame[4, 0] * uv[face, 0, 0] + frame[4, 1] * uv[face, 1, 0] + frame[4, 2] * uv[face, 2, 0]
    v = frame[4, 0] * uv[face, 0, 1] + frame[4, 1] * uv[face, 1, 1] + frame[4, 2] * uv[face, 2, 1]
    level = _level(frame, total, uv, face, size[mesh, 0, 1], size[mesh, 0, 0], levels[mesh])
    fine = int(np.floor(level))
    coarse = min(fine + 1, levels[mesh] - 1)
    share = level - fine
    for k, weight in ((fine, 1 - share), (coarse, share)):
        _bilinear(texels, first[mesh, k], size[mesh, k, 0], size[mesh, k, 1], u, v, weight, out)


@inner
def _distance(row: Floats, crossings: Rows, n: int, places: Floats, ends: Floats) -> tuple[float, float]:
    """The position of an edge between two pixel centres, and the denominator of that quotient.

    Args:
        ends: (3, 2), for start and end of the edge: along the two pixels, across them, z; the first two times
            z and relative to the first pixel's centre.
    """
    x, y = crossings[n, 5] + 0.5, crossings[n, 6] + 0.5
    upright = crossings[n, 7] >= 2
    for e in range(2):
        v = crossings[n, 3 + e]
        a, b, c = places[v, 0], places[v, 1], places[v, 2]
        z = row[8] * a + row[9] * b + row[10] * c + row[11]
        right = row[0] * a + row[1] * b + row[2] * c + row[3] - x * z
        down = row[4] * a + row[5] * b + row[6] * c + row[7] - y * z
        ends[0, e] = down if upright else right
        ends[1, e] = right if upright else down
        ends[2, e] = z
    denominator = ends[2, 1] * ends[1, 0] - ends[2, 0] * ends[1, 1]
    if abs(denominator) < EPS:
        denominator = EPS
    return (ends[0, 1] * ends[1, 0] - ends[0, 0] * ends[1, 1]) / denominator, denominator


@inner
def _shade(
    row: Floats,
    frame: Floats,
    total: float,
    normals: Floats,
    colours: Floats,
    face: int,
    texture: Floats,
    centres: Floats,
    n: int,
) -> None:
    """Write colour, depth and 1 of fragment n to centres (n, 5)."""
    nx, ny, nz, depth = 0.0, 0.0, 0.0, 0.0
    for i in range(3):
        w = frame[4, i]
        nx += w * normals[face, i, 0]
        ny += w * normals[face, i, 1]
        nz += w * normals[face, i, 2]
        depth += w * frame[2, i]
    cosine = (nx * row[12] + ny * row[13] + nz * row[14]) / np.sqrt(
        nx * nx + ny * ny + nz * nz + NORMAL_FLOOR
    )
    lit = max(cosine if total < 0 else -cosine, 0.0)
    for c in range(3):
        albedo = 0.0
        for i in range(3):
            albedo += frame[4, i] * colours[face, i, c]
        centres[n, c] = albedo * texture[0, c] * (row[15 + c] + row[18 + c] * lit)
    centres[n, 3] = depth
    centres[n, 4] = 1.0


@inner
def _blend(
    crossings: Rows, start: int, stop: int, centres: Floats, remaining: Floats, mixed: Floats, share: Floats
) -> None:
    """Blend each pixel with the neighbours whose edges reach it; mixed has the remaining parts already."""
    for k in range(start, stop):
        target, source, axis = crossings[k, 0], crossings[k, 1], crossings[k, 7] // 2
        taken = share[k] * (1 + remaining[target, 1 - axis]) / 2
        for c in range(5):
            mixed[target, c] += taken * centres[source, c]


@kernel
def average_samples(
    start: int,
    stop: int,
    factor: int,
    rows: Floats,
    layers: Integers,
    box: Integers,
    first_sample: Integers,
    faces: Rows,
    vertices: Floats,
    normals: Floats,
    colours: Floats,
    uv: Floats,
    meshes: Integers,
    _places: Floats,
    texels: Floats,
    first: Integers,
    size: Integers,
    levels: Integers,
    rgb: NDArray[Any],
    depth: NDArray[Any],
    alpha: NDArray[Any],
) -> None:
    """Windows start … stop − 1 of `rendering.sampled`: a pixel is the mean of its factor × factor samples.

    A face that several samples of a pixel hit is shaded once, at their mean position, which is exact for
    attributes that vary linearly.
    """
    frame, texture, centres = np.empty((5, 3)), np.empty((3, 3)), np.empty((1, 5))
    samples = factor * factor
    known, sums = np.empty(samples, np.int64), np.empty((samples, 3))
    for window in range(start, stop):
        row, layer = rows[window], layers[window]
        left, top, width = box[window, 0], box[window, 1], box[window, 2]
        for y in range(top, top + box[window, 3]):
            for x in range(left, left + width):
                count, hits = 0, 0.0
                for j in range(factor):
                    begin = first_sample[window] + (((y - top) * factor + j) * width + x - left) * factor
                    for i in range(factor):
                        face = faces[begin + i]
                        if face < 0:
                            continue
                        k = 0
                        while k < count and known[k] != face:
                            k += 1
                        if k == count:
                            known[k], sums[k, 0], sums[k, 1], sums[k, 2] = face, 0.0, 0.0, 0.0
                            count += 1
                        sums[k, 0] += i + 0.5
                        sums[k, 1] += j + 0.5
                        sums[k, 2] += 1.0
                        hits += 1.0
                if count == 0:
                    continue
                red, green, blue, far = 0.0, 0.0, 0.0, 0.0
                for k in range(count):
                    face, many = known[k], sums[k, 2]
                    across, down = sums[k, 0] / (many * factor), sums[k, 1] / (many * factor)
                    total = _frame(row, x + across, y + down, vertices, face, frame)
                    _texture(frame, total, uv, face, meshes[face], texels, first, size, levels, texture)
                    _shade(row, frame, total, normals, colours, face, texture, centres, 0)
                    red += many * centres[0, 0]
                    green += many * centres[0, 1]
                    blue += many * centres[0, 2]
                    far += many * centres[0, 3]
                rgb[layer, 0, y, x] = red / samples
                rgb[layer, 1, y, x] = green / samples
                rgb[layer, 2, y, x] = blue / samples
                depth[layer, y, x] = far / hits
                alpha[layer, y, x] = hits / samples


@kernel
def _forward(
    start: int,
    stop: int,
    rows: Floats,
    fragments: Rows,
    crossings: Rows,
    covered_from: Integers,
    bare_from: Integers,
    crossings_from: Integers,
    vertices: Floats,
    normals: Floats,
    colours: Floats,
    uv: Floats,
    meshes: Integers,
    places: Floats,
    texels: Floats,
    first: Integers,
    size: Integers,
    levels: Integers,
    centres: Floats,
    remaining: Floats,
    mixed: Floats,
    share: Floats,
    rendered: NDArray[Any],
) -> None:
    """Layers start … stop − 1."""
    frame, texture, ends = np.empty((5, 3)), np.empty((3, 3)), np.empty((3, 2))
    for layer in range(start, stop):
        row = rows[layer]
        for i in range(covered_from[layer], covered_from[layer + 1]):
            face = fragments[i, 3]
            total = _frame(row, fragments[i, 1] + 0.5, fragments[i, 2] + 0.5, vertices, face, frame)
            _texture(frame, total, uv, face, meshes[face], texels, first, size, levels, texture)
            _shade(row, frame, total, normals, colours, face, texture, centres, i)
            remaining[i, 0], remaining[i, 1] = 1.0, 1.0
        for i in range(bare_from[layer], bare_from[layer + 1]):
            for c in range(5):
                centres[i, c] = 0.0
            remaining[i, 0], remaining[i, 1] = 1.0, 1.0
        for k in range(crossings_from[layer], crossings_from[layer + 1]):
            distance, _ = _distance(row, crossings, k, places, ends)
            share[k] = min(max(distance - 0.5 if crossings[k, 7] % 2 == 1 else 0.5 - distance, 0.0), 0.5)
            remaining[crossings[k, 0], crossings[k, 7] // 2] -= share[k]
        for part in range(2):
            begin = covered_from if part == 0 else bare_from
            for i in range(begin[layer], begin[layer + 1]):
                own = remaining[i, 0] * remaining[i, 1]
                for c in range(5):
                    mixed[i, c] = own * centres[i, c]
        _blend(crossings, crossings_from[layer], crossings_from[layer + 1], centres, remaining, mixed, share)
        for part in range(2):
            begin = covered_from if part == 0 else bare_from
            for i in range(begin[layer], begin[layer + 1]):
                for c in range(3):
                    rendered[i, c] = mixed[i, c]
                rendered[i, 3] = mixed[i, 3] / mixed[i, 4] if mixed[i, 4] >= MIN_COVERAGE else np.inf
                rendered[i, 4] = min(mixed[i, 4], 1.0)  # rounding may exceed it


@kernel
def _spread(
    start: int,
    stop: int,
    fragments: Rows,
    covered_from: Integers,
    bare_from: Integers,
    rendered: NDArray[Any],
    rgb: NDArray[Any],
    depth: NDArray[Any],
    alpha: NDArray[Any],
) -> None:
    """Write layers start … stop − 1 with all their pixels."""
    height, width = alpha.shape[1], alpha.shape[2]
    for layer in range(start, stop):
        alpha[layer] = 0
        depth[layer] = np.inf
        rgb[layer] = 0
        for part in range(2):
            begin = covered_from if part == 0 else bare_from
            for i in range(begin[layer], begin[layer + 1]):
                x, y = fragments[i, 1], fragments[i, 2]
                if 0 <= x < width and 0 <= y < height:
                    for c in range(3):
                        rgb[layer, c, y, x] = rendered[i, c]
                    depth[layer, y, x] = rendered[i, 3]
                    alpha[layer, y, x] = rendered[i, 4]


@kernel
def _gather(
    start: int,
    stop: int,
    fragments: Rows,
    covered_from: Integers,
    bare_from: Integers,
    from_rgb: NDArray[Any],
    from_depth: NDArray[Any],
    from_alpha: NDArray[Any],
    by_rendered: Floats,
) -> None:
    """The backward pass of `_spread`, from pixels of layers start … stop − 1 to their fragments."""
    height, width = from_alpha.shape[1], from_alpha.shape[2]
    for layer in range(start, stop):
        for part in range(2):
            begin = covered_from if part == 0 else bare_from
            for i in range(begin[layer], begin[layer + 1]):
                x, y = fragments[i, 1], fragments[i, 2]
                inside = 0 <= x < width and 0 <= y < height
                for c in range(3):
                    by_rendered[i, c] = from_rgb[layer, c, y, x] if inside else 0.0
                by_rendered[i, 3] = from_depth[layer, y, x] if inside else 0.0
                by_rendered[i, 4] = from_alpha[layer, y, x] if inside else 0.0


@inner
def _add_row_gradient(
    into: Floats, first: int, axis_shift: float, a: float, b: float, c: float, amount: float
) -> None:
    """Add the gradient of (row[first:first + 4] − axis_shift · row[8:12]) · (a, b, c, 1)."""
    into[first] += amount * a
    into[first + 1] += amount * b
    into[first + 2] += amount * c
    into[8] -= axis_shift * amount * a
    into[9] -= axis_shift * amount * b
    into[10] -= axis_shift * amount * c
    into[first + 3] += amount
    into[11] -= axis_shift * amount


@inner
def _find_place(places: Integers, start: int, stop: int, place: int) -> int:
    """The first of start … stop − 1 whose place is not before `place`, else stop."""
    while start < stop and places[start] < place:
        start += 1
    return start


@inner
def _joined(crossed: NDArray[np.uint8], one: int, other: int, axis: int) -> bool:
    """Whether no edge passes between two pixels; a staircase crosses the other axis on both sides."""
    a, b = crossed[one], crossed[other]
    before, after = BEFORE[1 - axis], AFTER[1 - axis]
    stair = (a & before and b & after) or (a & after and b & before)
    return not (a & AFTER[axis] or stair)


@inner
def _worth(centres: Floats, before: int, after: int, by_centre: Floats, n: int) -> float:
    """The gradient of fragment n with respect to the change of colours from fragment `before` to `after`."""
    worth = 0.0
    for c in range(3):
        worth += by_centre[n, c] * (centres[after, c] - centres[before, c])
    return worth


@inner
def _shade_fragment_backward(
    row: Floats,
    frame: Floats,
    total: float,
    vertices: Floats,
    normals: Floats,
    colours: Floats,
    uv: Floats,
    face: int,
    texture: Floats,
    x: float,
    y: float,
    by_centre: Floats,
    n: int,
    exact: bool,
    rightwards: float,
    downwards: float,
    weight: Floats,
    into: Floats,
) -> None:
    """The backward pass of `_frame`, `_texture` and `_shade`; by_centre[n]: in colour and depth.

    Args:
        rightwards: in the image position of the visible point, pixels.
        downwards: in the image position of the visible point, pixels.
    """
    nx, ny, nz = 0.0, 0.0, 0.0
    for i in range(3):
        nx += frame[4, i] * normals[face, i, 0]
        ny += frame[4, i] * normals[face, i, 1]
        nz += frame[4, i] * normals[face, i, 2]
    length = np.sqrt(nx * nx + ny * ny + nz * nz + NORMAL_FLOOR)
    sign = 1.0 if total < 0 else -1.0
    along = nx * row[12] + ny * row[13] + nz * row[14]
    lit = max(sign * along / length, 0.0)
    by_lit, by_u, by_v = 0.0, 0.0, 0.0
    for i in range(3):
        weight[i] = by_centre[n, 3] * frame[2, i]
    for c in range(3):
        base = 0.0
        for i in range(3):
            base += frame[4, i] * colours[face, i, c]
        albedo = base * texture[0, c]
        light = row[15 + c] + row[18 + c] * lit
        into[15 + c] += by_centre[n, c] * albedo
        into[18 + c] += by_centre[n, c] * albedo * lit
        by_lit += by_centre[n, c] * albedo * row[18 + c]
        if exact:
            by_u += by_centre[n, c] * light * base * texture[1, c]
            by_v += by_centre[n, c] * light * base * texture[2, c]
            for i in range(3):
                weight[i] += by_centre[n, c] * light * texture[0, c] * colours[face, i, c]
    if lit > 0:
        by_normal = sign * by_lit / length
        into[12] += by_normal * nx
        into[13] += by_normal * ny
        into[14] += by_normal * nz
        shrink = along / (length * length)
        for i in range(3 if exact else 0):
            weight[i] += by_normal * (
                (row[12] - shrink * nx) * normals[face, i, 0]
                + (row[13] - shrink * ny) * normals[face, i, 1]
                + (row[14] - shrink * nz) * normals[face, i, 2]
            )
    by_total = 0.0
    for i in range(3):
        if exact:
            weight[i] += by_u * uv[face, i, 0] + by_v * uv[face, i, 1]
        share = frame[3, i] / total
        if share < -OUTSIDE or share > 1 + OUTSIDE:
            weight[i] = 0.0
        weight[i] /= total
        by_total -= weight[i] * share
    for i in range(3):
        if abs(total) > EPS:
            weight[i] += by_total
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        a, b, c = vertices[face, i, 0], vertices[face, i, 1], vertices[face, i, 2]
        by_right = weight[k] * frame[1, j] - weight[j] * frame[1, k] + rightwards * frame[4, i]
        by_down = weight[j] * frame[0, k] - weight[k] * frame[0, j] + downwards * frame[4, i]
        _add_row_gradient(into, 0, x, a, b, c, by_right)
        _add_row_gradient(into, 4, y, a, b, c, by_down)
        _add_row_gradient(into, 8, 0.0, a, b, c, by_centre[n, 3] * frame[4, i])


@kernel
def _backward(
    start: int,
    stop: int,
    rows: Floats,
    fragments: Rows,
    crossings: Rows,
    covered_from: Integers,
    bare_from: Integers,
    crossings_from: Integers,
    vertices: Floats,
    normals: Floats,
    colours: Floats,
    uv: Floats,
    meshes: Integers,
    places: Floats,
    texels: Floats,
    first: Integers,
    size: Integers,
    levels: Integers,
    centres: Floats,
    remaining: Floats,
    mixed: Floats,
    share: Floats,
    by_rendered: Floats,
    sums: Floats,
    exact: bool,
) -> None:
    """Layers start … stop − 1; by_rendered: (n, 5), gradients of what `_forward` renders."""
    frame, texture, ends, weight = np.empty((5, 3)), np.empty((3, 3)), np.empty((3, 2)), np.empty(3)
    for layer in range(start, stop):
        row, into = rows[layer], sums[layer]
        covered, covered_stop = covered_from[layer], covered_from[layer + 1]
        bare, bare_stop = bare_from[layer], bare_from[layer + 1]
        count = covered_stop - covered + bare_stop - bare
        shift = bare - (covered_stop - covered)
        by_mixed, by_centre, by_remaining = np.empty((count, 5)), np.empty((count, 5)), np.empty((count, 2))
        crossed = np.zeros(covered_stop - covered, np.uint8)
        pixels = np.empty(covered_stop - covered, np.int64)
        for n in range(count):
            i = covered + n if covered + n < covered_stop else shift + n
            for c in range(3):
                by_mixed[n, c] = by_rendered[i, c]
            by_mixed[n, 3] = by_rendered[i, 3] / mixed[i, 4] if mixed[i, 4] >= MIN_COVERAGE else 0.0
            by_mixed[n, 4] = by_rendered[i, 4]
            if mixed[i, 4] >= MIN_COVERAGE:
                by_mixed[n, 4] -= by_mixed[n, 3] * mixed[i, 3] / mixed[i, 4]
            along = 0.0
            for c in range(5):
                along += by_mixed[n, c] * centres[i, c]
                by_centre[n, c] = remaining[i, 0] * remaining[i, 1] * by_mixed[n, c]
            by_remaining[n, 0] = remaining[i, 1] * along
            by_remaining[n, 1] = remaining[i, 0] * along
        for k in range(crossings_from[layer], crossings_from[layer + 1]):
            target, source, axis = crossings[k, 0], crossings[k, 1], crossings[k, 7] // 2
            n = target - covered if target < covered_stop else target - shift
            m = source - covered if source < covered_stop else source - shift
            half = (1 + remaining[target, 1 - axis]) / 2
            along = 0.0
            for c in range(5):
                along += by_mixed[n, c] * centres[source, c]
                by_centre[m, c] += share[k] * half * by_mixed[n, c]
            by_remaining[n, 1 - axis] += share[k] / 2 * along
            before, after = (source, target) if crossings[k, 7] % 2 == 1 else (target, source)
            if before < covered_stop:
                crossed[before - covered] |= AFTER[axis]
            if after < covered_stop:
                crossed[after - covered] |= BEFORE[axis]
        for k in range(crossings_from[layer], crossings_from[layer + 1]):
            target, source, axis = crossings[k, 0], crossings[k, 1], crossings[k, 7] // 2
            n = target - covered if target < covered_stop else target - shift
            along = 0.0
            for c in range(5):
                along += by_mixed[n, c] * centres[source, c]
            slope = (1 + remaining[target, 1 - axis]) / 2 * along - by_remaining[n, axis]
            if share[k] <= 0 or share[k] >= 0.5 or slope == 0:
                continue
            if crossings[k, 7] % 2 == 0:
                slope = -slope
            distance, denominator = _distance(row, crossings, k, places, ends)
            slope /= denominator
            x, y = crossings[k, 5] + 0.5, crossings[k, 6] + 0.5
            one, one_shift, two, two_shift = (0, x, 4, y) if axis == 0 else (4, y, 0, x)
            for e in range(2):
                other = 1 - e
                v = crossings[k, 3 + e]
                a, b, c = places[v, 0], places[v, 1], places[v, 2]
                flip = -1.0 if e == 0 else 1.0
                _add_row_gradient(into, one, one_shift, a, b, c, flip * slope * ends[1, other])
                by_across = -flip * slope * (ends[0, other] - distance * ends[2, other])
                _add_row_gradient(into, two, two_shift, a, b, c, by_across)
                _add_row_gradient(into, 8, 0.0, a, b, c, -flip * slope * distance * ends[1, other])
        for i in range(covered, covered_stop):
            pixels[i - covered] = fragments[i, 2] * ROW + fragments[i, 1]
        above, below = 0, 0
        for i in range(covered, covered_stop):
            n, face = i - covered, fragments[i, 3]
            x, y = fragments[i, 1] + 0.5, fragments[i, 2] + 0.5
            total = _frame(row, x, y, vertices, face, frame)
            _texture(frame, total, uv, face, meshes[face], texels, first, size, levels, texture)
            rightwards, downwards = 0.0, 0.0
            if not exact:
                here, end = pixels[n], len(pixels)
                above = _find_place(pixels, above, n, here - ROW)
                below = _find_place(pixels, max(below, n), end, here + ROW)
                left = n - 1 if n > 0 and pixels[n - 1] == here - 1 and _joined(crossed, n - 1, n, 0) else n
                right = (
                    n + 1
                    if n + 1 < end and pixels[n + 1] == here + 1 and _joined(crossed, n, n + 1, 0)
                    else n
                )
                top = above if pixels[above] == here - ROW and _joined(crossed, above, n, 1) else n
                bottom = (
                    below
                    if below < end and pixels[below] == here + ROW and _joined(crossed, n, below, 1)
                    else n
                )
                nearer = -0.5 / max(centres[i, 3], EPS)
                rightwards = nearer * _worth(centres, covered + left, covered + right, by_centre, n)
                downwards = nearer * _worth(centres, covered + top, covered + bottom, by_centre, n)
            _shade_fragment_backward(
                row, frame, total, vertices, normals, colours, uv, face, texture, x, y,
                by_centre, n, exact, rightwards, downwards, weight, into,
            )  # fmt: skip
