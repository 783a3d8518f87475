"""Stage 2, coverage: both sides of every discontinuity edge blended by where it passes between pixel centres.

Laine et al. 2020, "Modular Primitives for High-Performance Differentiable Rendering", section 3.6. Two
things differ: edges are found by walking them, not by searching the faces at the two pixels (which misses
the slivers at the silhouette of a fine mesh), and a pixel that is reached along both axes is blended with
the product of both shares, which is exact at axis-aligned corners and never leaves [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary

TINIEST = 1e-30


def shares(parameters: Tensor, crossings: Tensor, library: MeshLibrary) -> Tensor:
    """How much of its target pixel each crossing gives to its source, (k,), in [0, 0.5].

    An edge at distance d from the first of two pixel centres (in pixels, 0 ≤ d ≤ 1) gives 0.5 − d of the
    first to the second if d < 0.5, else d − 0.5 of the second to the first.
    """
    dtype = parameters.dtype
    row = parameters.index_select(0, crossings[:, 2])[:, :12].t()
    x, y = crossings[:, 5].to(dtype) + 0.5, crossings[:, 6].to(dtype) + 0.5
    vertical, second = crossings[:, 7] >= 2, crossings[:, 7] % 2 == 1
    right, down, forward = row[0:4] - x * row[8:12], row[4:8] - y * row[8:12], row[8:12]
    along = torch.where(vertical, down, right)
    across = torch.where(vertical, right, down)
    start = library.vertices.index_select(0, crossings[:, 3]).t()
    end = library.vertices.index_select(0, crossings[:, 4]).t()

    def at(line: Tensor, point: Tensor) -> Tensor:
        return (line[:3] * point).sum(dim=0) + line[3]

    p, q = at(across, start), at(across, end)
    denominator = at(forward, end) * p - at(forward, start) * q
    tiny = denominator.detach().abs() < TINIEST
    denominator = torch.where(tiny, torch.full_like(denominator, TINIEST), denominator)
    distance = (at(along, end) * p - at(along, start) * q) / denominator
    return torch.where(second, distance - 0.5, 0.5 - distance).clamp(0.0, 0.5)


def blend(values: Tensor, crossings: Tensor, share: Tensor) -> Tensor:
    """Mix each pixel with those beside it that reach into it.

    values: (C, n) at the pixel centres.  share: (k,) from `shares`.  Returns (C, n).
    """
    if not len(crossings):
        return values
    target, source = crossings[:, 0].long(), crossings[:, 1].long()
    vertical = crossings[:, 7].long() // 2
    count = values.shape[1]
    kept = torch.ones(2 * count, dtype=values.dtype, device=values.device)
    kept = kept.index_add(0, vertical * count + target, -share)
    other = kept.index_select(0, (1 - vertical) * count + target)
    taken = (share * (1 + other) / 2) * values.index_select(1, source)
    return (values * (kept[:count] * kept[count:])).index_add(1, target, taken)
