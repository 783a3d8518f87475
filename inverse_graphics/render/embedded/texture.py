"""Bilinear texture lookup among textures of different sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary


def sample_texture(library: MeshLibrary, mesh: Tensor, uv: Tensor) -> Tensor:
    """Colour of each mesh's texture at uv, repeated beyond [0, 1]; white where a mesh has none.

    mesh: (n,).  uv: (2, n), v pointing up.  Returns (3, n), differentiable in uv.
    """
    size = library.texture_size.index_select(0, mesh)
    has_texture = size[:, 0] > 0
    chosen = has_texture.nonzero()[:, 0]
    size, first = size[chosen], library.first_texel[mesh[chosen]]
    height, width = size[:, 0], size[:, 1]
    column = uv[0, chosen] * width - 0.5
    row = (1 - uv[1, chosen]) * height - 0.5
    left, top = column.detach().floor(), row.detach().floor()
    a, b = column - left, row - top

    def texel(right: int, down: int) -> Tensor:
        r = (top.long() + down).remainder(height)
        c = (left.long() + right).remainder(width)
        return library.texels.index_select(0, first + r * width + c).t()

    upper = texel(0, 0) * (1 - a) + texel(1, 0) * a
    lower = texel(0, 1) * (1 - a) + texel(1, 1) * a
    white = torch.ones(3, len(mesh), dtype=uv.dtype, device=uv.device)
    return white.index_copy(1, chosen, upper * (1 - b) + lower * b)
