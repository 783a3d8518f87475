"""Stage 2, shading: the colour and depth of every covered pixel centre, in plain differentiable torch.

Derivatives of colour in the position of the visible point use the slope of the image, not of the surface. A
rim thinner than a pixel has normals that change by π across it: the derivative at the pixel's centre is not
that of the pixel as a whole. The same holds for a texture or a coloured mesh much finer than the pixels.
Loper and Black 2014, "OpenDR", differentiate the image instead: colours move with the surface, and the slope
of a colour is half the difference of the two adjacent pixels. Along a row of pixels such slopes sum to the
change of colour from end to end, so that details count by their visible size. The image is the same either
way, and so are gradients of depth and alpha, and those with respect to light.

Textures are filtered to the size of a pixel (Williams 1983, mip maps).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary


@dataclass(frozen=True)
class Textures:
    """Every texture at full size, half, a quarter … down to one texel, flattened row by row.

    Attributes:
        texels: (T, 3).
        first: (M, L) int64, first texel of each level; size: (M, L, 2) int64, its height and width; levels:
            (M,) int64, their number, 0 where a mesh has no texture.
    """

    texels: Tensor
    first: Tensor
    size: Tensor
    levels: Tensor

    @classmethod
    def from_library(cls, library: MeshLibrary) -> Textures:
        """Build the mip pyramids of a library."""
        pyramids = [_pyramid(library, m) for m in range(len(library.names))]
        depth = max([len(pyramid) for pyramid in pyramids], default=0)
        first = torch.zeros(len(pyramids), depth, dtype=torch.int64)
        size = torch.zeros(len(pyramids), depth, 2, dtype=torch.int64)
        texels, used = [library.texels[:0]], 0
        for m, pyramid in enumerate(pyramids):
            for level, texture in enumerate(pyramid):
                first[m, level], size[m, level] = used, torch.tensor(texture.shape[:2])
                texels.append(texture.reshape(-1, 3))
                used += len(texels[-1])
        device = library.texels.device
        levels = torch.tensor([len(pyramid) for pyramid in pyramids], dtype=torch.int64)
        return cls(torch.cat(texels), first.to(device), size.to(device), levels.to(device))


def _pyramid(library: MeshLibrary, mesh: int) -> list[Tensor]:
    height, width = library.texture_size[mesh].tolist()
    start = int(library.first_texel[mesh])
    if not height * width:
        return []
    levels = [library.texels[start : start + height * width].reshape(height, width, 3)]
    while max(levels[-1].shape[:2]) > 1:
        half = (max(1, levels[-1].shape[0] // 2), max(1, levels[-1].shape[1] // 2))
        planes = torch.nn.functional.adaptive_avg_pool2d(levels[-1].permute(2, 0, 1), half)
        levels.append(planes.permute(1, 2, 0))
    return levels


def sample_textures(textures: Textures, mesh: Tensor, uv: Tensor, by_x: Tensor, by_y: Tensor) -> Tensor:
    """Sample each mesh's texture at uv, repeated beyond [0, 1]; white where a mesh has none.

    Args:
        mesh: (n,).
        uv: (2, n), v upwards.
        by_x: (2, n), change of uv to the next pixel right.
        by_y: (2, n), change of uv to the next pixel down; at the chosen level the longer of the two is one
            texel.

    Returns:
        (3, n), differentiable in uv.
    """
    chosen = (textures.levels.index_select(0, mesh) > 0).nonzero()[:, 0]
    mesh, uv = mesh[chosen], uv[:, chosen]
    extent = textures.size[mesh, 0].t().flip(0)
    longest = [(step.detach()[:, chosen] * extent).square().sum(dim=0) for step in (by_x, by_y)]
    top = textures.levels[mesh] - 1
    level = 0.5 * torch.maximum(*longest).clamp(min=1.0).log2()
    level = torch.minimum(level, top.to(level.dtype))
    fine = level.floor().long()
    share = level - fine
    colour = (1 - share) * _bilinear(textures, mesh, fine, uv)
    colour = colour + share * _bilinear(textures, mesh, torch.minimum(fine + 1, top), uv)
    white = torch.ones(3, len(by_x[0]), dtype=uv.dtype, device=uv.device)
    return white.index_copy(1, chosen, colour)


def _bilinear(textures: Textures, mesh: Tensor, level: Tensor, uv: Tensor) -> Tensor:
    first, (height, width) = textures.first[mesh, level], textures.size[mesh, level].unbind(1)
    column, row = uv[0] * width - 0.5, (1 - uv[1]) * height - 0.5
    left, top = column.detach().floor(), row.detach().floor()
    a, b = column - left, row - top

    def texel(right: int, down: int) -> Tensor:
        r, c = (top.long() + down).remainder(height), (left.long() + right).remainder(width)
        return textures.texels.index_select(0, first + r * width + c).t()

    upper = texel(0, 0) * (1 - a) + texel(1, 0) * a
    lower = texel(0, 1) * (1 - a) + texel(1, 1) * a
    return upper * (1 - b) + lower * b


Slopes = Literal["image", "surface"]


def between_pixels(rgb: Tensor, fragments: Tensor, crossings: Tensor) -> Tensor:
    """Compute the slope of colours in the image, (2, 3, n), to the right and down.

    Args:
        rgb: (3, n), at the centres of fragments (n, 4).  Each pixel has half of its differences to the
            adjacent ones. Pixels without a face, or beyond a discontinuity (crossings: (k, 8)), do not
            contribute: there the gradient is that of the discontinuity.
    """
    if not len(fragments):
        return rgb.new_zeros(2, *rgb.shape)
    layer, x, y = fragments[:, 0].long(), fragments[:, 1].long() + 1, fragments[:, 2].long() + 1
    width, height = int(x.max()) + 2, int(y.max()) + 2
    place = (layer * height + y) * width + x
    before, after = _crossed(crossings, len(place))
    slopes = []
    for axis, step in enumerate((1, width)):
        other = torch.searchsorted(place, place + step).clamp(max=len(place) - 1)
        joined = (place[other] == place + step) & ~after[axis]
        # a staircase edge along one column crosses the other axis on both sides of the step
        across = 1 - axis
        joined &= ~(before[across] & after[across][other] | after[across] & before[across][other])
        one, other = joined.nonzero()[:, 0], other[joined]
        half = (rgb[:, other] - rgb[:, one]) / 2
        slopes.append(torch.zeros_like(rgb).index_add(1, one, half).index_add(1, other, half))
    return torch.stack(slopes)


def _crossed(crossings: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Whether an edge passes before, and after, each of `count` fragments, along each axis: (2, count)."""
    target, source, axis = crossings[:, 0].long(), crossings[:, 1].long(), crossings[:, 7].long() // 2
    second = crossings[:, 7] % 2 == 1
    crossed = []
    for pixel in (torch.where(second, target, source), torch.where(second, source, target)):
        flags = torch.zeros(2, count, dtype=torch.bool, device=crossings.device)
        flags[axis[pixel < count], pixel[pixel < count]] = True
        crossed.append(flags)
    return crossed[0], crossed[1]


OUTSIDE = 0.01  # barycentric coordinates are clamped to [0, 1] with this margin, for rounding
EPS = 1e-30
NORMAL_FLOOR = 1e-12


@dataclass(frozen=True)
class Corners:
    """Attributes of a library's faces at their corners, gathered once; never differentiated.

    Attributes:
        vertices: (4, F, 3), homogeneous.
        normals: (3, F, 3).
        colours: (3, F, 3).
        uv: (2, F, 3).  The last axis is the corner.
        mesh: (F,) int64, the mesh of each face.
    """

    vertices: Tensor
    normals: Tensor
    colours: Tensor
    uv: Tensor
    mesh: Tensor

    @classmethod
    def from_library(cls, library: MeshLibrary) -> Corners:
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
    """Compute colour and depth of fragments, and the motion of their visible points in the image.

    Args:
        parameters: (L, 21) from `layer_parameters`.
        fragments: (n, 4), all with a face.

    Returns:
        rgb (3, n), depth (n,), metres, and moved (2, n): zeros whose gradient is that of the image position
        of the visible point, pixels to the right and down. With slopes of the "image", rgb is
        differentiated in this point. Perspective-correct barycentric coordinates come from the homogeneous
        coordinates of the corners, relative to the pixel so that float32 loses no digits.
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
    if slopes == "image":
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
    """Zeros (2, n) with the gradient of the image position of a point of a face."""
    place = torch.stack([(weight * side).sum(dim=1) for side in (right, down)]) / depth.clamp(min=EPS)
    return place - place.detach()


def _affine(row: Tensor, vertex: Tensor) -> Tensor:
    """row: (4, n); vertex: (4, n, 3) → (n, 3)."""
    return (row[..., None] * vertex).sum(dim=0)


def _barycentric(right: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Barycentric coordinates (n, 3) of the origin, and −1 where the face's front is visible, else 1 (n,)."""
    area = right.roll(-1, 1) * down.roll(-2, 1) - right.roll(-2, 1) * down.roll(-1, 1)
    total = area.sum(dim=1, keepdim=True)
    facing = torch.where(total.detach() < 0, -1.0, 1.0).to(total.dtype)
    total = torch.where(total.detach().abs() < EPS, facing * EPS, total)
    return (area / total).clamp(-OUTSIDE, 1 + OUTSIDE), facing[:, 0]


def _steps(weight: Tensor, right: Tensor, down: Tensor, forward: Tensor) -> tuple[Tensor, Tensor]:
    """Change of the barycentric coordinates to the next pixel right, and down; (n, 3) each."""
    total = (right.roll(-1, 1) * down.roll(-2, 1) - right.roll(-2, 1) * down.roll(-1, 1)).sum(1, keepdim=True)
    total = torch.where(total.abs() < EPS, EPS, total)
    z1, z2 = forward.roll(-1, 1), forward.roll(-2, 1)
    by_x = z2 * down.roll(-1, 1) - z1 * down.roll(-2, 1)
    by_y = z1 * right.roll(-2, 1) - z2 * right.roll(-1, 1)
    return (
        (by_x - weight * by_x.sum(1, keepdim=True)) / total,
        (by_y - weight * by_y.sum(1, keepdim=True)) / total,
    )
