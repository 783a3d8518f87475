"""Textures among others of different sizes, filtered to the size of a pixel (Williams 1983, mip maps)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary


@dataclass(frozen=True)
class Textures:
    """Every texture at full size, at half, at a quarter … down to one texel, flattened row by row.

    texels: (T, 3).  first: (M, L) int64, first texel of each level; size: (M, L, 2) int64, its height and
    width; levels: (M,) int64, how many there are, 0 where a mesh has no texture.
    """

    texels: Tensor
    first: Tensor
    size: Tensor
    levels: Tensor

    @classmethod
    def from_library(cls, library: MeshLibrary) -> Textures:
        """Shrink the textures of a library."""
        pyramids = [_pyramid(library, m) for m in range(len(library.names))]
        depth = max([len(pyramid) for pyramid in pyramids], default=0)
        first = torch.zeros(len(pyramids), depth, dtype=torch.int64)
        size = torch.zeros(len(pyramids), depth, 2, dtype=torch.int64)
        texels, used = [library.texels[:0]], 0
        for m, pyramid in enumerate(pyramids):
            for level, picture in enumerate(pyramid):
                first[m, level], size[m, level] = used, torch.tensor(picture.shape[:2])
                texels.append(picture.reshape(-1, 3))
                used += len(texels[-1])
        device = library.texels.device
        levels = torch.tensor([len(pyramid) for pyramid in pyramids], dtype=torch.int64)
        return cls(torch.cat(texels), first.to(device), size.to(device), levels.to(device))


def _pyramid(library: MeshLibrary, mesh: int) -> list[Tensor]:
    height, width = library.texture_size[mesh].tolist()
    start = int(library.first_texel[mesh])
    if not height * width:
        return []
    pictures = [library.texels[start : start + height * width].reshape(height, width, 3)]
    while max(pictures[-1].shape[:2]) > 1:
        half = (max(1, pictures[-1].shape[0] // 2), max(1, pictures[-1].shape[1] // 2))
        planes = torch.nn.functional.adaptive_avg_pool2d(pictures[-1].permute(2, 0, 1), half)
        pictures.append(planes.permute(1, 2, 0))
    return pictures


def sample_textures(textures: Textures, mesh: Tensor, uv: Tensor, by_x: Tensor, by_y: Tensor) -> Tensor:
    """Colour of each mesh's texture at uv, repeated beyond [0, 1]; white where a mesh has none.

    mesh: (n,).  uv, by_x, by_y: (2, n), v pointing up, and what a pixel to the right or down adds to it;
    the level is that at which the longer of the two is one texel.  Returns (3, n), differentiable in uv.
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
