"""Edges at which an object's visible surface changes (outline, contours, creases); distances to them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.rendering.pytorch3d.rasterisation import Hits

THINNEST = 1e-7  # PyTorch3D skips faces below an area of 1e-8, in squared normalised device coordinates
ON_THE_LINE = 1e-3  # pixels: nearer than this, the edge and not the pixel gives the outward direction
SIDEWAYS = 1.0  # pixels along an edge within which its tangent approximates it
IN_FRONT = 1e-4  # a surface is in front of another if it is nearer by more than this share of its depth
TIED = 1e-3  # two sides of a face are equally near within this share of the squared distance
NEIGHBOURS = ((-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1))


class Edges(NamedTuple):
    """The edges of all layers' meshes.

    Attributes:
        faces: (E, 2), the two that meet there, the second −1 where there is none.
        side: (E, 2), the side of each: n for the side from corner n to the next.
        crease: (E,), true where colour or normal is discontinuous.
    """

    faces: Tensor
    side: Tensor
    crease: Tensor


class Outline(NamedTuple):
    """Faces at whose sides the visible surface changes.

    Attributes:
        face: (n,), sorted.
        facing: (n,), see `facings`.
        contour: (n, 3), true for sides where the surface ends or faces away.
        crease: (n, 3), true for sides where its colour or normal is discontinuous.
    """

    face: Tensor
    facing: Tensor
    contour: Tensor
    crease: Tensor


def find_outline(edges: Edges, facing: Tensor, corners: Tensor, ndc: Tensor) -> Outline:
    """Choose one face for every edge at which the visible surface may change.

    Args:
        edges: of all layers.
        facing: (F,), see `facings`.
        corners: (F, 3) into ndc.
        ndc: (V, 3). The nearest point of a surface to a pixel beside it lies on one of these faces, and they
            are few: PyTorch3D, which stores faces by depth and not by distance, then has all of them among
            its K. The front is chosen where it has area, so that its colour is visible.
    """
    first, second = edges.faces.unbind(dim=1)
    border = second < 0
    second = torch.where(border, first, second)
    flat = ndc.detach()[corners][..., :2]
    a, b = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    shown = (facing != 0) & ((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs() > THINNEST)
    contour = border | (facing[first] != facing[second])
    other = ~shown[first] | (shown[second] & (facing[first] > 0))
    chosen = torch.where(other, second, first)
    side = torch.where(other & ~border, edges.side[:, 1], edges.side[:, 0])
    used = shown[chosen] & (contour | edges.crease)
    face, number = torch.unique(chosen[used], return_inverse=True)
    flags = torch.zeros(2, 3 * len(face), dtype=torch.bool, device=face.device)
    flags[(~contour[used]).long(), 3 * number + side[used]] = True
    return Outline(face, facing[face], flags[0].reshape(-1, 3), flags[1].reshape(-1, 3))


class Seen(NamedTuple):
    """The visible surface at pixel centres, (P, H, W) each: face, −1 if none, its facing, depth, metres."""

    face: Tensor
    facing: Tensor
    depth: Tensor


class Beside(NamedTuple):
    """The pixels just beside a surface that ends before them; n of them, all (n,) or (n, …).

    Attributes:
        pixel: flat index into P · H · W.
        face: index in the outline.
        depth: metres.
        weight: (n, 3), barycentric coordinates of the surface's nearest point.
        distance: pixels to it, differentiable.
        outwards: (n, 2), unit, x right and y down, from there to the pixel, a constant; 0 where it is
            unknown.
    """

    pixel: Tensor
    face: Tensor
    depth: Tensor
    weight: Tensor
    distance: Tensor
    outwards: Tensor


def pixels_beside(
    hits: Hits,
    seen: Seen,
    outline: Outline,
    corners: Tensor,
    whole: Tensor,
    metres_per_pixel: Tensor,
    ndc_per_pixel: float,
) -> Beside:
    """Find for every pixel the nearest side at which the visible surface changes.

    Where nothing is visible any side counts; elsewhere a contour in front of the visible surface, or a
    crease of similar depth and the same facing.


    Args:
        hits: of the outline's faces.
        seen: faces by their row, as in `Outline.face`.
        corners: (n, 3, 2), the outline's faces in normalised device coordinates.
        whole: (n,), false for those that are partly behind the camera, whose corners are undefined; they get
            no `outwards`.
        metres_per_pixel: (P,), at depth 1.
    """
    most = hits.face.shape[-1]
    pixel = (hits.face.reshape(-1, most) >= 0).any(dim=1).nonzero()[:, 0]
    face = hits.face.reshape(-1, most)[pixel]
    squared, depth = (part.reshape(-1, most)[pixel] for part in (hits.squared_distance, hits.depth))
    own = face.clamp(min=0)
    near = _nearest_sides(
        _centres(pixel, seen.face.shape, ndc_per_pixel), corners.detach()[own], outline, own
    )
    behind = seen.depth.reshape(-1)[pixel, None]
    visible, size = seen.face.reshape(-1)[pixel, None], metres_per_pixel[pixel // seen.face[0].numel(), None]
    at = depth.detach()
    contour = near.contour & whole[own] & (at < behind * (1 - IN_FRONT))
    same_way = outline.facing[own] == seen.facing.reshape(-1)[pixel, None]
    crease = near.crease & whole[own] & same_way & (at < behind + 0.5 * size * at)
    usable = (face >= 0) & (squared.detach() > 0) & (visible != outline.face[own])
    usable &= (visible < 0) | contour | crease
    distance = torch.where(usable, squared.detach(), torch.inf)
    best = distance.argmin(dim=1)
    selected = distance.amin(dim=1).isfinite().nonzero()[:, 0]
    row, best = selected, best[selected]
    least = (ON_THE_LINE * ndc_per_pixel / 10) ** 2
    outwards = near.outwards(row, best, ON_THE_LINE * ndc_per_pixel)
    chosen = face[row, best]
    return Beside(
        pixel=pixel[row],
        face=chosen,
        depth=depth[row, best],
        weight=hits.weight.reshape(-1, most, 3)[pixel[row], best],
        distance=squared[row, best].clamp(min=least).sqrt() / ndc_per_pixel,
        outwards=torch.where(whole[chosen, None], outwards, 0.0),
    )


def _centres(pixel: Tensor, shape: torch.Size, ndc_per_pixel: float) -> Tensor:
    """Pixel centres in normalised device coordinates, (n, 2)."""
    _, height, width = shape
    x = width / 2 - (pixel % width + 0.5)
    y = height / 2 - (pixel // width % height + 0.5)
    return torch.stack([x, y], dim=1) * ndc_per_pixel


class _Nearest(NamedTuple):
    """Sides of triangles that are nearest to points; all (n, K) or (n, K, 2), x left and y up.

    Attributes:
        gap: from there to the point.
        normal: of that side, away from the triangle.
        contour: whether it is one; at a corner of two sides, whether one of them is.
        crease: whether it is one; at a corner of two sides, whether one of them is.
    """

    gap: Tensor
    normal: Tensor
    contour: Tensor
    crease: Tensor

    def outwards(self, row: Tensor, best: Tensor, least: float) -> Tensor:
        """Unit vectors to the point, x right and y down, (n, 2); the side's normal within `least` of it."""
        gap, normal = self.gap[row, best], self.normal[row, best]
        far = gap.norm(dim=1, keepdim=True) > least
        return -torch.nn.functional.normalize(torch.where(far, gap, normal), dim=1, eps=1e-20)


def _nearest_sides(point: Tensor, triangle: Tensor, outline: Outline, face: Tensor) -> _Nearest:
    """point: (n, 2), triangle: (n, K, 3, 2), of the outline's faces `face`, (n, K)."""
    along = triangle.roll(-1, dims=2) - triangle
    length = along.square().sum(dim=-1).clamp(min=1e-20)
    share = (((point[:, None, None] - triangle) * along).sum(dim=-1) / length).clamp(0, 1)
    gaps = point[:, None, None] - (triangle + share[..., None] * along)
    squared = gaps.square().sum(dim=-1)
    least = squared.amin(dim=-1, keepdim=True)
    as_near = squared <= least * (1 + TIED)
    contours, creases = outline.contour[face] & as_near, outline.crease[face] & as_near
    rank = squared + torch.where(contours, 0.0, torch.where(creases, 1.0, 2.0)) * 2 * TIED * least
    side = rank.argmin(dim=-1)

    def chosen(values: Tensor) -> Tensor:
        return values.gather(2, side[..., None, None].expand(*side.shape, 1, 2))[:, :, 0]

    line, third = chosen(along), chosen(triangle.roll(-2, dims=2) - triangle)
    normal = torch.stack([line[..., 1], -line[..., 0]], dim=-1)
    inwards = (normal * third).sum(dim=-1, keepdim=True) > 0
    return _Nearest(
        chosen(gaps), torch.where(inwards, -normal, normal), contours.any(dim=-1), creases.any(dim=-1)
    )


class Inside(NamedTuple):
    """Distances of pixels within their visible surface to its end, (P, H, W) each.

    Attributes:
        distance: pixels, differentiable, +inf where no end is near.
        beyond: flat index of the pixel that shows the surface beyond the end; the pixel itself where there is
            none.
    """

    distance: Tensor
    beyond: Tensor


def pixels_inside(seen: Seen, beside: Beside, metres_per_pixel: Tensor) -> tuple[Inside, Inside]:
    """Convert distances from outside a surface, which PyTorch3D measures, to distances from within.

    Exact for a straight edge within a pixel. A pixel takes the distances of its eight neighbours, with the
    edge approximated by the tangent at their nearest points. So both sides of an edge have its gradient, and
    neither enlarges the object.

    Returns:
        Distances to where another surface of the object is visible, and to where the object ends.
    """
    shape, count = seen.face.shape, seen.face.numel()

    def spread(values: Tensor, fill: float) -> Tensor:
        dense = values.new_full((count, *values.shape[1:]), fill)
        return dense.index_copy(0, beside.pixel, values).reshape(*shape, *values.shape[1:])

    place = torch.arange(count, device=seen.face.device).reshape(shape)
    sides = _Sides(
        spread(beside.distance, torch.inf),
        spread(beside.outwards, 0.0),
        spread(beside.depth.detach(), torch.inf),
    )
    nothing = Inside(torch.full_like(sides.distance, torch.inf), place)
    within, whole = nothing, nothing
    for right, down in NEIGHBOURS:
        other = _Sides(
            *(_shifted(*part, right, down) for part in zip(sides, (torch.inf, 0.0, torch.inf), strict=True))
        )
        face, there = _shifted(seen.face, -2, right, down), _shifted(place, 0, right, down)
        depth, usable = _depth_within(other, right, down)
        usable &= seen.face >= 0
        same_depth = (seen.depth - other.depth).abs() < 2 * metres_per_pixel[:, None, None] * seen.depth
        within = _nearer(within, depth, there, usable & (face >= 0) & (face != seen.face) & same_depth)
        whole = _nearer(whole, depth, there, usable & (face == -1))
    return within, whole


class _Sides(NamedTuple):
    """`Beside` as images: distance, outwards and depth, (P, H, W) and (P, H, W, 2)."""

    distance: Tensor
    outwards: Tensor
    depth: Tensor


def _depth_within(other: _Sides, right: int, down: int) -> tuple[Tensor, Tensor]:
    """Distance of each pixel within the side that its neighbour found, and whether that is near."""
    found = other.distance.isfinite()
    step = other.outwards.new_tensor([right, down])
    unknown = (other.outwards == 0).all(dim=-1, keepdim=True)
    normal = torch.where(unknown, step / step.norm(), other.outwards)
    length = torch.where(found, other.distance, 0.0)
    depth = (normal * step).sum(dim=-1) - length
    nearest = step - normal * length.detach()[..., None]
    sideways = (nearest - normal * depth.detach()[..., None]).square().sum(dim=-1)
    return depth, found & (sideways <= SIDEWAYS**2) & (depth.detach() > -ON_THE_LINE)


def _nearer(best: Inside, depth: Tensor, beyond: Tensor, usable: Tensor) -> Inside:
    better = usable & (depth.detach() < best.distance.detach())
    return Inside(
        torch.where(better, depth.clamp(min=0), best.distance), torch.where(better, beyond, best.beyond)
    )


def _shifted(values: Tensor, fill: float, right: int, down: int) -> Tensor:
    """The values at (row + down, column + right), (P, H, W, …), `fill` beyond the border."""
    result = torch.full_like(values, fill)
    height, width = values.shape[1:3]
    rows, columns = (
        (slice(max(0, -d), size - max(0, d)), slice(max(0, d), size - max(0, -d)))
        for d, size in ((down, height), (right, width))
    )
    result[:, rows[0], columns[0]] = values[:, rows[1], columns[1]]
    return result
