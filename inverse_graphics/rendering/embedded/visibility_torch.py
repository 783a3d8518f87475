"""Stage 1 in plain torch, over all (face, pixel) and (edge, row) pairs: for GPUs, and as the reference.

It has the same arithmetic in the same order as `visibility_numba`, so that both agree exactly; see there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded import visibility
from inverse_graphics.rendering.embedded.topology import MeshTopology
from inverse_graphics.rendering.embedded.visibility import Clipping, Visibility

MAX_PAIRS = 1 << 22  # (face, pixel) pairs in memory at a time
MAX_PIXELS = 1 << 23  # pixels of the layers that are processed at a time


def find_visibility(
    library: MeshLibrary,
    topology: MeshTopology,
    parameters: Tensor,
    mesh: Tensor,
    clipping: Clipping,
    rasterise: Rasterise | None = None,
) -> Visibility:
    """Find the visible fragments of each layer; see `FindVisibility`.

    Args:
        rasterise: `_rasterise` by default.
    """
    find = rasterise or _rasterise
    matrices = parameters.detach()[:, :12].double()
    size = max(1, MAX_PIXELS // ((clipping.height + 2) * (clipping.width + 2)))
    groups = [
        _group(library, topology, matrices, mesh, clipping, range(i, min(i + size, len(mesh))), find)
        for i in range(0, len(mesh), size)
    ]
    return _joined(groups, mesh)


class _Group(NamedTuple):
    covered: Tensor
    bare: Tensor
    crossings: Tensor


def _joined(groups: list[_Group], like: Tensor) -> Visibility:
    """Number the fragments of all groups; within a group uncovered fragment i has index −1 − i."""
    empty = [torch.zeros(0, 4, dtype=torch.int32, device=like.device)]
    covered = sum(len(group.covered) for group in groups)
    filled, bare = 0, covered
    crossings = [torch.zeros(0, 8, dtype=torch.int32, device=like.device)]
    for group in groups:
        ends = group.crossings[:, :2]
        numbered = torch.where(ends < 0, bare - 1 - ends, ends + filled)
        crossings.append(torch.cat([numbered, group.crossings[:, 2:]], dim=1).int())
        filled += len(group.covered)
        bare += len(group.bare)
    fragments = empty + [group.covered for group in groups] + [group.bare for group in groups]
    return Visibility(torch.cat(fragments).int(), covered, torch.cat(crossings))


class Parts(NamedTuple):
    """Rows of a library's table, repeated for every layer that contains them.

    Attributes:
        layer: (n,), the layer of each row.
        row: (n,), the row in the library.
        shift: (L,), offset from a library row to its index among those n.
    """

    layer: Tensor
    row: Tensor
    shift: Tensor


def _parts(first: Tensor, mesh: Tensor) -> Parts:
    start, count = first[mesh], first[mesh + 1] - first[mesh]
    layer, within = _ragged(count)
    return Parts(layer, start[layer] + within, count.cumsum(0) - count - start)


def _ragged(count: Tensor) -> tuple[Tensor, Tensor]:
    """For each i, count[i] rows: i and 0 … count[i] − 1."""
    owner = torch.repeat_interleave(count)
    begin = count.cumsum(0) - count
    return owner, torch.arange(len(owner), device=count.device) - begin[owner]


def _group(
    library: MeshLibrary,
    topology: MeshTopology,
    matrices: Tensor,
    mesh: Tensor,
    clipping: Clipping,
    group: range,
    rasterise: Rasterise,
) -> _Group:
    """The layers in `group`; within it they are numbered from 0, and those with an object are packed."""
    own = mesh[group.start : group.stop]
    slot = (own >= 0).nonzero()[:, 0]
    shown = own[slot]
    vertices = _parts(library.first_vertex, shown)
    h, sound = _project(library, matrices[group.start : group.stop][slot], vertices)
    faces = _parts(library.first_face, shown)
    corners = library.faces[faces.row] + vertices.shift[faces.layer, None]
    triangles = _triangles(h, sound, corners, topology.solid[faces.row], clipping.near)
    fronts = topology.closed[shown] & _whole(h, sound, vertices, len(shown), clipping.near)
    triangles = triangles._replace(
        seen=(triangles.facing != 0) & ~(fronts[faces.layer] & (triangles.facing > 0))
    )
    owner = rasterise(Projected(h, vertices, corners, faces, triangles, len(slot)), clipping)
    edges = _parts(topology.first_edge, shown)
    points = _cross_edges(
        topology.edges.long(), edges, h, sound, triangles, vertices, faces, fronts, clipping
    )
    state = _states(points, triangles, faces, len(slot), clipping)
    return _collect(_choose(points, state, owner, clipping), owner, faces, slot + group.start, clipping)


def _project(library: MeshLibrary, matrices: Tensor, parts: Parts) -> tuple[Tensor, Tensor]:
    """Homogeneous pixel coordinates (n, 3) of all vertices; zeros and false where one is out of bounds."""
    m, v = matrices[parts.layer], library.vertices.double()[parts.row]
    rows = [
        ((m[:, 4 * k] * v[:, 0] + m[:, 4 * k + 1] * v[:, 1]) + m[:, 4 * k + 2] * v[:, 2]) + m[:, 4 * k + 3]
        for k in range(3)
    ]
    h = torch.stack(rows, dim=1)
    sound = (h.abs() <= visibility.LARGEST).all(dim=1)
    return torch.where(sound[:, None], h, 0.0), sound


def _whole(h: Tensor, sound: Tensor, vertices: Parts, layers: int, near: float) -> Tensor:
    """Whether all vertices of each layer are in front of the near plane, (layers,)."""
    amiss = ~sound | (h[:, 2] < near)
    return torch.bincount(vertices.layer[amiss], minlength=layers) == 0


class Triangles(NamedTuple):
    """Projected faces.

    Attributes:
        facing: (n,), −1 front, 1 back, 0 not rendered.
        side: (n, 9), the edge functions.
        scale: (n,), divided by their sum it is the depth.
        bounds: (n, 4), lowest and highest x, lowest and highest y, of the part in front of the near plane.
        seen: (n,), whether the side that faces the camera can be visible.
    """

    facing: Tensor
    side: Tensor
    scale: Tensor
    bounds: Tensor
    seen: Tensor


def _triangles(h: Tensor, sound: Tensor, corners: Tensor, solid: Tensor, near: float) -> Triangles:
    i, j, k = (h[corners[:, n]] for n in range(3))
    x = j[:, 1] * k[:, 2] - j[:, 2] * k[:, 1]
    y = j[:, 2] * k[:, 0] - j[:, 0] * k[:, 2]
    z = j[:, 0] * k[:, 1] - j[:, 1] * k[:, 0]
    determinant = (i[:, 0] * x + i[:, 1] * y) + i[:, 2] * z
    facing = torch.where(solid & sound[corners].all(dim=1), determinant.sign(), 0.0)
    sides = []
    for a, b in ((j, k), (k, i), (i, j)):
        sides.append(facing * (a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]))
        sides.append(facing * (a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]))
        sides.append(facing * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]))
    extents = torch.stack([_extent(i, j, near), _extent(j, k, near), _extent(k, i, near)])
    low, high = extents[..., 0::2].amin(dim=0), extents[..., 1::2].amax(dim=0)
    bounds = torch.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], dim=1)
    return Triangles(facing, torch.stack(sides, dim=1), facing * determinant, bounds, facing != 0)


class Projected(NamedTuple):
    """The input of a rasteriser for some layers, numbered from 0 to `layers` − 1.

    Attributes:
        points: (V, 3), homogeneous pixel coordinates of the vertices, contiguous for each layer.
        corners: (F, 3), rows of `points`.
    """

    points: Tensor
    vertices: Parts
    corners: Tensor
    faces: Parts
    triangles: Triangles
    layers: int


Rasterise = Callable[[Projected, Clipping], Tensor]
"""The visible face at each pixel centre, with one pixel beyond the image on each side:
(layers · rows · columns), a row of `Projected.faces`; −1: none."""


def _extent(p: Tensor, q: Tensor, near: float) -> Tensor:
    """Bounds (n, 4) of the part of each segment in front of the near plane; inf, −inf where it is empty."""
    ends = [(p, p[:, 2] >= near), (q, q[:, 2] >= near)]
    t = (near - p[:, 2]) / (q[:, 2] - p[:, 2])
    cut = torch.stack([(p[:, n] + t * (q[:, n] - p[:, n])) / near for n in range(2)], dim=1)
    places = [(end[:, :2] / end[:, 2:], front) for end, front in ends] + [(cut, ends[0][1] != ends[1][1])]
    low = torch.stack([torch.where(front[:, None], at, torch.inf) for at, front in places]).amin(dim=0)
    high = torch.stack([torch.where(front[:, None], at, -torch.inf) for at, front in places]).amax(dim=0)
    return torch.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], dim=1)


def _span(low: Tensor, high: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and number of those of 0 … size − 1 whose centre i − 0.5 lies in [low, high]."""
    first = (low + 0.5 - visibility.ROUNDING).ceil().clamp(0, size).long()
    last = (high + 0.5 + visibility.ROUNDING).floor().clamp(-1, size - 1).long()
    return first, (last - first + 1).clamp(min=0)


def _pieces(count: Tensor) -> Iterator[slice]:
    """Split rows that give `count` pairs each into slices of about MAX_PAIRS pairs."""
    if not len(count):
        return
    chunk = (count.cumsum(0) - 1).clamp(min=0) // MAX_PAIRS
    sizes = torch.unique_consecutive(chunk, return_counts=True)[1].tolist()
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size


def _inside(side: Tensor, x: Tensor, y: Tensor, closed: bool) -> tuple[Tensor, Tensor]:
    """Whether points lie in their faces, and the sums of the edge functions there.

    Args:
        closed: whether a face has all of its edges, or only the left and the upper ones.
    """
    inside = torch.ones_like(x, dtype=torch.bool)
    values = []
    for n in range(0, 9, 3):
        a, b = side[:, n], side[:, n + 1]
        value = (a * x + b * y) + side[:, n + 2]
        leading = torch.where(a.abs() >= b.abs(), a, b) > 0
        inside &= (value > 0) | ((value == 0) & (leading | closed))
        values.append(value)
    return inside, (values[0] + values[1]) + values[2]


def _rasterise(projected: Projected, clipping: Clipping) -> Tensor:
    """The `Rasterise` of this module."""
    triangles, faces, layers = projected.triangles, projected.faces, projected.layers
    rows, columns = clipping.height + 2, clipping.width + 2
    left, wide = _span(triangles.bounds[:, 0], triangles.bounds[:, 1], columns)
    top, high = _span(triangles.bounds[:, 2], triangles.bounds[:, 3], rows)
    count = torch.where(triangles.seen, wide * high, 0)
    device = count.device
    nearest = torch.full((layers * rows * columns,), torch.inf, dtype=torch.float64, device=device)
    hits = []
    for piece in _pieces(count):
        face, within = _ragged(count[piece])
        face = face + piece.start
        row, column = top[face] + within // wide[face], left[face] + within % wide[face]
        inside, total = _inside(triangles.side[face], column - 0.5, row - 0.5, closed=False)
        depth = triangles.scale[face] / total
        hit = (inside & (depth >= clipping.near) & (depth <= clipping.far)).nonzero()[:, 0]
        pixel = (faces.layer[face] * rows + row)[hit] * columns + column[hit]
        nearest = nearest.scatter_reduce(0, pixel, depth[hit], "amin")
        hits.append((pixel, face[hit], depth[hit]))
    owner = torch.full_like(nearest, len(count), dtype=torch.int64)
    for pixel, face, depth in hits:
        first = depth == nearest[pixel]
        owner = owner.scatter_reduce(0, pixel[first], face[first], "amin")
    return torch.where(owner == len(count), -1, owner)


class _Points(NamedTuple):
    """Points where edges pass between pixel centres.

    Attributes:
        along: 0 between pixels of a row, 1 of a column.
        pixel: the first of the two, in its layer.
        vertices: (n, 2), of the edge, in the library.
        faces: (n, 2), of the edge, in the library.
        place: between the two centres, in (0, 1].
        state: INNER for creases, whose own faces are on both sides, else OUTER.
    """

    layer: Tensor
    along: Tensor
    pixel: Tensor
    vertices: Tensor
    faces: Tensor
    x: Tensor
    y: Tensor
    depth: Tensor
    place: Tensor
    state: Tensor


def _cross_edges(
    table: Tensor,
    edges: Parts,
    h: Tensor,
    sound: Tensor,
    triangles: Triangles,
    vertices: Parts,
    faces: Parts,
    fronts: Tensor,
    clipping: Clipping,
) -> _Points:
    """Walk every edge that is a discontinuity from this camera."""
    rows, columns, near = clipping.height + 2, clipping.width + 2, clipping.near
    edge = table[edges.row]
    face = (edge[:, 2:4] + faces.shift[edges.layer, None]).clamp(min=0)
    single = edge[:, 3] < 0
    one = triangles.facing[face[:, 0]]
    other = torch.where(single, one, triangles.facing[face[:, 1]])
    contour = (edge[:, 4] == 1) | (one != other)
    contour &= ~(fronts[edges.layer] & (one >= 0) & (other >= 0))
    ends = edge[:, :2] + vertices.shift[edges.layer, None]
    i, j = h[ends[:, 0]], h[ends[:, 1]]
    steep = (i[:, 1] * j[:, 2] - i[:, 2] * j[:, 1]).abs()
    flat = (i[:, 2] * j[:, 0] - i[:, 0] * j[:, 2]).abs()
    contour &= sound[ends].all(dim=1) & (torch.maximum(i[:, 2], j[:, 2]) >= near)
    contour &= torch.maximum(steep, flat) > visibility.SHORTEST * (i[:, 2] * j[:, 2]).abs()
    along = torch.where(steep >= flat, 0, 1)
    extent = _extent(i, j, near)
    by_row, by_column = _span(extent[:, 2], extent[:, 3], rows), _span(extent[:, 0], extent[:, 1], columns)
    first, count = (torch.where(along == 0, a, b) for a, b in zip(by_row, by_column, strict=True))
    chosen, within = _ragged(torch.where(contour, count, 0))
    state = torch.where(~single & (one == other), visibility.INNER, visibility.OUTER)
    return _at_lines(chosen, first[chosen] + within, along[chosen], i, j, edge, state, edges, clipping)


def _at_lines(
    chosen: Tensor,
    line: Tensor,
    along: Tensor,
    i: Tensor,
    j: Tensor,
    edge: Tensor,
    state: Tensor,
    edges: Parts,
    clipping: Clipping,
) -> _Points:
    """Where the chosen edges cross the centre line of a row (along = 0) or a column (along = 1)."""
    rows, columns = clipping.height + 2, clipping.width + 2
    i, j = i[chosen], j[chosen]
    i_along, j_along = (torch.where(along == 0, end[:, 0], end[:, 1]) for end in (i, j))
    i_across, j_across = (torch.where(along == 0, end[:, 1], end[:, 0]) for end in (i, j))
    centre = line - 0.5
    p, q = i_across - centre * i[:, 2], j_across - centre * j[:, 2]
    t = p / (p - q)
    depth = i[:, 2] + t * (j[:, 2] - i[:, 2])
    where = (i_along + t * (j_along - i_along)) / depth
    gaps = torch.where(along == 0, columns, rows)
    keep = ((p >= 0) != (q >= 0)) & (depth >= clipping.near) & (depth <= clipping.far)
    keep = (keep & (where > -0.5) & (where <= gaps - 1.5)).nonzero()[:, 0]
    gap = (where[keep] + 0.5).ceil().long() - 1
    along, line, where, centre, chosen = (part[keep] for part in (along, line, where, centre, chosen))
    row, column = torch.where(along == 0, line, gap), torch.where(along == 0, gap, line)
    return _Points(
        layer=edges.layer[chosen],
        along=along,
        pixel=row * columns + column,
        vertices=edge[chosen, :2],
        faces=edge[chosen, 2:4],
        x=torch.where(along == 0, where, centre),
        y=torch.where(along == 0, centre, where),
        depth=depth[keep],
        place=(where + 0.5) - gap,
        state=state[chosen],
    )


def _states(points: _Points, triangles: Triangles, faces: Parts, layers: int, clipping: Clipping) -> Tensor:
    """Whether a face of the same layer, not of the same edge, is in front of or behind each point."""
    size = (clipping.height + 2) * (clipping.width + 2)
    gap = (points.layer * 2 + points.along) * size + points.pixel
    order = gap.argsort()
    filled = torch.bincount(gap, minlength=2 * layers * size)
    begin = filled.cumsum(0) - filled
    state = points.state
    for face, at in _gaps(triangles, faces, clipping):
        used = (filled[at] > 0).nonzero()[:, 0]
        pair, within = _ragged(filled[at[used]])
        point = order[begin[at[used]][pair] + within]
        verdict = _occlusion(points, triangles, faces, point, face[used][pair], clipping)
        state = state.scatter_reduce(0, point, verdict, "amax")
    return state


def _gaps(triangles: Triangles, faces: Parts, clipping: Clipping) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of a face and a gap between pixel centres that its bounding box reaches."""
    rows, columns = clipping.height + 2, clipping.width + 2
    x0, x1, y0, y1 = triangles.bounds.unbind(1)
    for along in range(2):
        left, wide = _span(x0 - 1.0 if along == 0 else x0, x1, columns)
        top, high = _span(y0 - 1.0 if along == 1 else y0, y1, rows)
        count = torch.where(triangles.seen, wide * high, 0)
        for piece in _pieces(count):
            face, within = _ragged(count[piece])
            face = face + piece.start
            row, column = top[face] + within // wide[face], left[face] + within % wide[face]
            yield face, ((faces.layer[face] * 2 + along) * rows + row) * columns + column


def _occlusion(
    points: _Points, triangles: Triangles, faces: Parts, point: Tensor, face: Tensor, clipping: Clipping
) -> Tensor:
    """The effect of each face on its point: HIDDEN, INNER, or OUTER where it does not cover it."""
    inside, total = _inside(triangles.side[face], points.x[point], points.y[point], closed=True)
    depth = triangles.scale[face] / total
    inside &= (total > 0) & (depth >= clipping.near)
    inside &= (points.faces[point] != faces.row[face, None]).all(dim=1)
    nearer = depth < points.depth[point] * (1.0 - visibility.HIDDEN_BY)
    return torch.where(inside, torch.where(nearer, visibility.HIDDEN, visibility.INNER), visibility.OUTER)


def _choose(points: _Points, state: Tensor, owner: Tensor, clipping: Clipping) -> Tensor:
    """One crossing for each gap between pixels of different faces, by layer, axis and pixel.

    Returns:
        (k, 7): target and source pixel over all layers, layer, two vertices, along, second.
    """
    rows, columns = clipping.height + 2, clipping.width + 2
    size = rows * columns
    pixel = points.layer * size + points.pixel
    step = torch.where(points.along == 0, 1, columns)
    before, after = owner[pixel], owner[pixel + step]
    beside_nothing = (before < 0) | (after < 0)
    usable = (before != after) & (state == torch.where(beside_nothing, visibility.OUTER, visibility.INNER))
    outwards = torch.where(before < 0, points.place, -points.place)
    rank = torch.where(beside_nothing, outwards, points.depth)
    best = _first_least((points.layer * 2 + points.along) * size + points.pixel, rank, usable, 2 * len(owner))
    second = (points.place[best] >= 0.5).long()
    target, source = (pixel[best] + side * step[best] for side in (second, 1 - second))
    vertices = points.vertices[best].unbind(1)
    found = [target, source, points.layer[best], *vertices, points.along[best], second]
    return torch.stack(found, dim=1)[_in_image(target, rows, columns)]


def _first_least(group: Tensor, rank: Tensor, usable: Tensor, groups: int) -> Tensor:
    """For each group that has any usable row, the row of smallest rank, the first of equal ones; by group."""
    rows = usable.nonzero()[:, 0]
    least = torch.full((groups,), torch.inf, dtype=torch.float64, device=group.device)
    least = least.scatter_reduce(0, group[rows], rank[rows], "amin")
    rows = rows[rank[rows] == least[group[rows]]]
    first = torch.full((groups,), len(group), device=group.device)
    first = first.scatter_reduce(0, group[rows], rows, "amin")
    return first[first < len(group)]


def _in_image(pixel: Tensor, rows: int, columns: int) -> Tensor:
    row, column = pixel // columns % rows, pixel % columns
    return (row > 0) & (row < rows - 1) & (column > 0) & (column < columns - 1)


def _collect(found: Tensor, owner: Tensor, faces: Parts, slot: Tensor, clipping: Clipping) -> _Group:
    """Number the pixels that are rendered or needed, and write the rows described in `Visibility`."""
    rows, columns = clipping.height + 2, clipping.width + 2
    needed = torch.zeros(len(owner), dtype=torch.bool, device=owner.device)
    needed[found[:, :2].reshape(-1)] = True
    rendered = owner >= 0
    image = _in_image(torch.arange(len(owner), device=owner.device), rows, columns)
    covered = (rendered & (image | needed)).nonzero()[:, 0]
    bare = (needed & ~rendered).nonzero()[:, 0]
    number = torch.zeros(len(owner), dtype=torch.int64, device=owner.device)
    number[covered] = torch.arange(len(covered), device=owner.device)
    number[bare] = -1 - torch.arange(len(bare), device=owner.device)

    def fragments(pixel: Tensor, face: Tensor) -> Tensor:
        layer, within = slot[pixel // (rows * columns)], pixel % (rows * columns)
        return torch.stack([layer, within % columns - 1, within // columns - 1, face], dim=1)

    target, source, layer, start, end, along, second = found.unbind(1)
    first = torch.minimum(target, source) % (rows * columns)
    crossings = torch.stack(
        [
            number[target],
            number[source],
            slot[layer],
            start,
            end,
            first % columns - 1,
            first // columns - 1,
            2 * along + second,
        ],
        dim=1,
    )
    return _Group(
        covered=fragments(covered, faces.row[owner[covered]]),
        bare=fragments(bare, torch.full_like(bare, -1)),
        crossings=crossings,
    )
