"""Stage 2, shading: the colour and depth of every covered pixel centre, in plain differentiable torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.embedded.slopes import Slopes
from inverse_graphics.render.embedded.texture import Textures, sample_textures

OUTSIDE = 0.01  # barycentric coordinates may leave [0, 1] by this much, for rounding, and no farther
TINIEST = 1e-30
NORMAL_FLOOR = 1e-12


@dataclass(frozen=True)
class Corners:
    """What a library's faces carry at their corners, gathered once; never differentiated.

    vertices: (4, F, 3), homogeneous.  normals, colours: (3, F, 3).  uv: (2, F, 3).  The last axis is the
    corner.  mesh: (F,) int64, the mesh that a face belongs to.
    """

    vertices: Tensor
    normals: Tensor
    colours: Tensor
    uv: Tensor
    mesh: Tensor

    @classmethod
    def of(cls, library: MeshLibrary) -> Corners:
        """Gather the corners of all faces of a library."""
        homogeneous = torch.cat([library.vertices, torch.ones_like(library.vertices[:, :1])], dim=1)
        first = library.first_face
        return cls(
            vertices=_at_corners(homogeneous, library.faces),
            normals=_at_corners(library.normals, library.faces),
            colours=_at_corners(library.colours, library.faces),
            uv=_at_corners(library.uv, library.faces),
            mesh=torch.repeat_interleave(first[1:] - first[:-1]),
        )


def _at_corners(values: Tensor, faces: Tensor) -> Tensor:
    return values[faces].permute(2, 0, 1).contiguous()


def shade(
    parameters: Tensor, fragments: Tensor, corners: Corners, textures: Textures, slopes: Slopes
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour and depth of fragments, and how what they show moves in the picture.

    parameters: (L, 21) as `layer_parameters` makes them.  fragments: (n, 4), all with a face.
    Returns rgb (3, n), depth (n,), metres, and moved (2, n): zeros, whose gradient is that of where the point
    seen is, pixels to the right and down. With slopes of the "picture", rgb is differentiated for this point.
    Perspective-correct barycentric coordinates come from the homogeneous coordinates of the corners, taken
    relative to the pixel so that float32 keeps its digits.
    """
    layer, face = fragments[:, 0], fragments[:, 3]
    row = parameters.index_select(0, layer).t().contiguous()
    vertex = corners.vertices.index_select(1, face)
    x = fragments[:, 1].to(row.dtype) + 0.5
    y = fragments[:, 2].to(row.dtype) + 0.5
    right = _affine(row[0:4] - x * row[8:12], vertex)
    down = _affine(row[4:8] - y * row[8:12], vertex)
    forward = _affine(row[8:12], vertex)
    weight, facing = _barycentric(right, down)
    depth = (weight * forward).sum(dim=1)
    moved = _moved(weight.detach(), right, down, depth.detach())
    if slopes == "picture":
        weight = weight.detach()
    normal = (weight * corners.normals.index_select(1, face)).sum(dim=2)
    length = (normal.square().sum(dim=0) + NORMAL_FLOOR).sqrt()
    cosine = -facing * (normal * row[12:15]).sum(dim=0) / length
    albedo = (weight * corners.colours.index_select(1, face)).sum(dim=2)
    if len(textures.texels):
        uv = corners.uv.index_select(1, face)
        steps = _steps(weight.detach(), right.detach(), down.detach(), forward.detach())
        by_x, by_y = ((step * uv).sum(dim=2) for step in steps)
        mesh = corners.mesh.index_select(0, face)
        albedo = albedo * sample_textures(textures, mesh, (weight * uv).sum(dim=2), by_x, by_y)
    return albedo * (row[15:18] + row[18:21] * cosine.clamp(min=0)), depth, moved


def _moved(weight: Tensor, right: Tensor, down: Tensor, depth: Tensor) -> Tensor:
    """Zeros (2, n) with the gradient of where a point of a face is in the picture."""
    place = torch.stack([(weight * side).sum(dim=1) for side in (right, down)]) / depth.clamp(min=TINIEST)
    return place - place.detach()


def _affine(row: Tensor, vertex: Tensor) -> Tensor:
    """row: (4, n); vertex: (4, n, 3) → (n, 3)."""
    return (row[..., None] * vertex).sum(dim=0)


def _barycentric(right: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Barycentric coordinates (n, 3) of the origin, and −1 where the face shows its front, else 1 (n,)."""
    area = right.roll(-1, 1) * down.roll(-2, 1) - right.roll(-2, 1) * down.roll(-1, 1)
    total = area.sum(dim=1, keepdim=True)
    facing = torch.where(total.detach() < 0, -1.0, 1.0).to(total.dtype)
    total = torch.where(total.detach().abs() < TINIEST, facing * TINIEST, total)
    return (area / total).clamp(-OUTSIDE, 1 + OUTSIDE), facing[:, 0]


def _steps(weight: Tensor, right: Tensor, down: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    """What a pixel to the right, and one down, adds to the barycentric coordinates; (n, 3) each."""
    total = (right.roll(-1, 1) * down.roll(-2, 1) - right.roll(-2, 1) * down.roll(-1, 1)).sum(1, keepdim=True)
    total = torch.where(total.abs() < TINIEST, TINIEST, total)
    z1, z2 = forward.roll(-1, 1), forward.roll(-2, 1)
    by_x = z2 * down.roll(-1, 1) - z1 * down.roll(-2, 1)
    by_y = z1 * right.roll(-2, 1) - z2 * right.roll(-1, 1)
    return (
        (by_x - weight * by_x.sum(1, keepdim=True)) / total,
        (by_y - weight * by_y.sum(1, keepdim=True)) / total,
    )
