"""The interface between the stages: fragments and edge crossings; and the blending of coverage in stage 2.

Coverage: both sides of every discontinuity edge are blended by its position between pixel centres (Laine et
al. 2020, "Modular Primitives for High-Performance Differentiable Rendering", section 3.6), with two
differences: edges are found by walking them, not by searching the faces at the two pixels (which misses
slivers at the silhouette of a fine mesh), and a pixel that is reached along both axes is blended with the
product of both shares, which is exact at axis-aligned corners and stays in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.topology import MeshTopology

LARGEST = 1e8  # pixels·metres: vertices beyond are not rendered, so that float32 products stay finite
HIDDEN_BY = 1e-6  # a surface hides an edge if it is nearer by more than this share of the edge's depth
ROUNDING = 1e-6  # pixels by which bounding boxes are enlarged; the exact tests follow
SHORTEST = 1e-6  # pixels: shorter edges, along their main direction, are ignored

OUTER, INNER, HIDDEN = (
    0,
    1,
    2,
)  # a point of an edge: nothing behind it, a surface behind it, one in front of it


@dataclass(frozen=True)
class Visibility:
    """Integers without gradient; all int32, for layers of H × W pixels.

    Attributes:
        fragments: (n + m, 4): layer, column x, row y, face; the first `covered` = n have a face, the m others
            have −1: nothing covers their pixel centre, but an adjacent edge may reach them. One pixel outside
            the image on each side is included where an edge needs it (x = −1 or W, y = −1 or H).
        crossings: (k, 8): target fragment, source fragment, layer, two vertices of the edge, x and y of the
            left or upper pixel of the two, and 2·vertical + second, where vertical is 1 if the pixels are one
            above the other and second is 1 if the target is the right or lower one. Sorted: fragments by
            layer and pixel within their n and m, crossings by layer, vertical and pixel.
    """

    fragments: Tensor
    covered: int
    crossings: Tensor


class Clipping(NamedTuple):
    """Image size in pixels, and the range of rendered depths in metres."""

    height: int
    width: int
    near: float
    far: float


FindVisibility = Callable[[MeshLibrary, MeshTopology, Tensor, Tensor, Clipping], Visibility]
"""Finds the visible fragments of each of L layers: the first stage of rendering.

It takes the meshes, their edges, the layers' parameters (L, ≥ 12) from `layer_parameters`, the mesh in each
layer (L,), −1 for an empty slot, and the image's size with the depths that are drawn.
"""


EPS = 1e-30


def shares(parameters: Tensor, crossings: Tensor, library: MeshLibrary) -> Tensor:
    """Compute the share of its target pixel that each crossing gives to its source, (k,), in [0, 0.5].

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
    tiny = denominator.detach().abs() < EPS
    denominator = torch.where(tiny, torch.full_like(denominator, EPS), denominator)
    distance = (at(along, end) * p - at(along, start) * q) / denominator
    return torch.where(second, distance - 0.5, 0.5 - distance).clamp(0.0, 0.5)


def blend(values: Tensor, crossings: Tensor, share: Tensor) -> Tensor:
    """Blend each pixel with the neighbours whose edges reach it.

    Args:
        values: (C, n) at the pixel centres.
        crossings: (k, 8).
        share: (k,) from `shares`.

    Returns:
        (C, n).
    """
    if not len(crossings):
        return values
    target, source = crossings[:, 0].long(), crossings[:, 1].long()
    vertical = crossings[:, 7].long() // 2
    count = values.shape[1]
    remaining = torch.ones(2 * count, dtype=values.dtype, device=values.device)
    remaining = remaining.index_add(0, vertical * count + target, -share)
    other = remaining.index_select(0, (1 - vertical) * count + target)
    taken = (share * (1 + other) / 2) * values.index_select(1, source)
    return (values * (remaining[:count] * remaining[count:])).index_add(1, target, taken)
