"""Where an object ends in the picture: the faces along its outline, and how far pixels lie from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.render.pytorch3d.rasterising import Hits

ON_THE_LINE = 1e-3  # pixels: nearer than this, the edge and not the pixel says which way is out
SIDEWAYS = 1.0  # pixels along the outline within which its tangent stands for it
THINNEST = 1e-7  # PyTorch3D skips faces below an area of 1e-8, in squared normalised device coordinates
NEIGHBOURS = ((-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1))


def outline_faces(edges: Tensor, facing: Tensor, corners: Tensor, ndc: Tensor) -> Tensor:
    """Choose one face for every edge at which a surface ends or turns away; (n,), sorted rows of `corners`.

    edges: (E, 2), the two faces of each edge as rows of `corners`, the second −1 where there is none.
    facing: (F,), see `facings`.  corners: (F, 3) into ndc, (V, 3). The nearest point of an object to a pixel
    beside it lies on one of these faces, and they are few: PyTorch3D, which keeps faces by depth and not by
    distance, then has them all among its K. The front is chosen where it has area, so that its colour shows.
    """
    first, second = edges[:, 0], edges[:, 1]
    border = second < 0
    second = torch.where(border, first, second)
    flat = ndc.detach()[corners][..., :2]
    a, b = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    thick = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs() > THINNEST
    shown = (facing != 0) & thick
    at_edge = border | (facing[first] != facing[second])
    prefer_second = ~shown[first] | (shown[second] & (facing[first] > 0))
    chosen = torch.where(prefer_second, second, first)
    return torch.unique(chosen[at_edge & shown[chosen]])


class Ring(NamedTuple):
    """The uncovered pixels beside an object; everything (n,) unless said otherwise.

    pixel: flat index into P · H · W.  face: row among the outline faces.  depth: metres.  weight: (n, 3).
    distance: pixels to the object, differentiable.  outwards: (n, 2), unit, in pixels (x right, y down),
    from the nearest point of the object to the pixel; a constant.
    """

    pixel: Tensor
    face: Tensor
    depth: Tensor
    weight: Tensor
    distance: Tensor
    outwards: Tensor


def ring(hits: Hits, covered: Tensor, corners: Tensor, whole: Tensor, ndc_per_pixel: float) -> Ring:
    """Pick the nearest outline face of every pixel that has one and is not covered.

    covered: (P, H, W).  corners: (F, 3, 2), the outline faces in normalised device coordinates.
    whole: (F,), false for faces that are partly behind the camera, whose corners mean nothing.
    """
    most = hits.face.shape[-1]
    face, squared = hits.face.reshape(-1, most), hits.squared_distance.reshape(-1, most)
    pixel = ((face >= 0).any(dim=1) & ~covered.reshape(-1)).nonzero()[:, 0]
    face, squared = face[pixel], squared[pixel]
    outside = torch.where(face >= 0, squared.detach().abs(), torch.inf)
    nearest = outside.argmin(dim=1, keepdim=True)

    def chosen(values: Tensor) -> Tensor:
        return values.gather(1, nearest)[:, 0]

    weight = hits.weight.reshape(-1, most, 3)[pixel]
    own = chosen(face)
    distance = chosen(squared).abs().clamp(min=(ON_THE_LINE * ndc_per_pixel / 10) ** 2).sqrt() / ndc_per_pixel
    centre = _centres(pixel, covered.shape, ndc_per_pixel)
    outwards = _outwards(centre, corners.detach()[own], ON_THE_LINE * ndc_per_pixel)
    return Ring(
        pixel=pixel,
        face=own,
        depth=chosen(hits.depth.reshape(-1, most)[pixel]),
        weight=weight.gather(1, nearest[..., None].expand(-1, 1, 3))[:, 0],
        distance=distance,
        outwards=torch.where(whole[own, None], outwards, 0.0),
    )


def _centres(pixel: Tensor, shape: torch.Size, ndc_per_pixel: float) -> Tensor:
    """Pixel centres in normalised device coordinates, (n, 2)."""
    _, height, width = shape
    x = width / 2 - (pixel % width + 0.5)
    y = height / 2 - (pixel // width % height + 0.5)
    return torch.stack([x, y], dim=1) * ndc_per_pixel


def _outwards(point: Tensor, triangle: Tensor, least: float) -> Tensor:
    """Unit vectors from the nearest point of each triangle to points outside it, x right and y down, (n, 2).

    point: (n, 2) and triangle: (n, 3, 2), x left and y up. Within `least` of an edge: its normal.
    """
    start, end = triangle, triangle.roll(-1, dims=1)
    along = end - start
    length = along.square().sum(dim=-1).clamp(min=1e-20)
    share = (((point[:, None] - start) * along).sum(dim=-1) / length).clamp(0, 1)
    gap = point[:, None] - (start + share[..., None] * along)
    nearest = gap.square().sum(dim=-1).argmin(dim=1)
    row = torch.arange(len(point), device=point.device)
    gap, along = gap[row, nearest], along[row, nearest]
    normal = torch.stack([along[:, 1], -along[:, 0]], dim=1)
    third = triangle.roll(-2, dims=1)[row, nearest] - start[row, nearest]
    normal = torch.where((normal * third).sum(dim=1, keepdim=True) > 0, -normal, normal)
    far = gap.norm(dim=1, keepdim=True) > least
    return -torch.nn.functional.normalize(torch.where(far, gap, normal), dim=1, eps=1e-20)


def signed_distance(covered: Tensor, around: Ring) -> Tensor:
    """Distance of every pixel centre to its object's outline in pixels, positive inside; (P, H, W).

    Exact for a straight outline within a pixel of it, ±inf farther away. PyTorch3D measures distances from
    outside; a covered pixel takes those of the uncovered ones about it, whose outline it sees as the tangent
    at their nearest points. So both sides of an outline carry its gradient, and neither makes it larger.
    """
    empty = covered.new_full(covered.shape, torch.inf, dtype=around.distance.dtype).reshape(-1)
    distance = empty.index_copy(0, around.pixel, around.distance).reshape(covered.shape)
    outwards = around.outwards.new_zeros(covered.numel(), 2).index_copy(0, around.pixel, around.outwards)
    outwards = outwards.reshape(*covered.shape, 2)
    inside = torch.full_like(distance, torch.inf)
    for right, down in NEIGHBOURS:
        there = _shifted(distance, right, down, torch.inf)
        normal = _shifted(outwards, right, down, 0.0)
        step = there.new_tensor([right, down])
        normal = torch.where((normal == 0).all(dim=-1, keepdim=True), step / step.norm(), normal)
        nearest = step - normal * torch.where(there.isfinite(), there.detach(), 0.0)[..., None]
        depth = (normal * step).sum(dim=-1) - there
        sideways = (nearest - normal * depth.detach().nan_to_num(0, 0, 0)[..., None]).square().sum(dim=-1)
        usable = there.isfinite() & (sideways <= SIDEWAYS**2)
        inside = torch.minimum(inside, torch.where(usable, depth.clamp(min=0), torch.inf))
    return torch.where(covered, inside, -distance)


def _shifted(values: Tensor, right: int, down: int, fill: float) -> Tensor:
    """What stands at (row + down, column + right), (P, H, W, …), `fill` beyond the border."""
    result = torch.full_like(values, fill)
    height, width = values.shape[1:3]
    rows, columns = (
        (slice(max(0, -d), size - max(0, d)), slice(max(0, d), size - max(0, -d)))
        for d, size in ((down, height), (right, width))
    )
    result[:, rows[0], columns[0]] = values[:, rows[1], columns[1]]
    return result
