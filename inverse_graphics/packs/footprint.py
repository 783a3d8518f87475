"""Footprints of objects on a table (convex hulls of their projections), and the gaps between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.mesh import MeshLibrary


@dataclass(frozen=True)
class Footprints:
    """The convex hull of each mesh's projection on z = 0, and the directions of its support function.

    Attributes:
        hulls: (A, V, 2), metres, object frame; a hull with fewer corners is padded with its first one.
        directions: (D, 2), unit, world frame, evenly spaced, each with its opposite.
    """

    hulls: Tensor
    directions: Tensor

    @classmethod
    def from_library(cls, library: MeshLibrary, directions: int = 32) -> Footprints:
        """Measure all meshes of a library; `directions` is even and at least 4.

        Raises:
            AssetError: the projection of a mesh has no area.
        """
        assert directions % 2 == 0
        assert directions >= 4
        first = library.first_vertex.tolist()
        hulls = [
            _hull(library.vertices[start:stop, :2], name)
            for name, start, stop in zip(library.names, first[:-1], first[1:], strict=True)
        ]
        most = max(len(hull) for hull in hulls)
        padded = [torch.cat([hull, hull[:1].expand(most - len(hull), 2)]) for hull in hulls]
        half = torch.arange(directions // 2, dtype=torch.float64) * (2 * math.pi / directions)
        forth = torch.stack([half.cos(), half.sin()], dim=-1)
        return cls(torch.stack(padded), torch.cat([forth, -forth]).to(library.vertices.dtype))

    @cached_property
    def radius(self) -> Tensor:
        """The distance of each hull's farthest corner from the origin: (A,), metres."""
        return self.hulls.norm(dim=-1).amax(dim=-1)

    def area(self, margin: float = 0.0) -> Tensor:
        """Compute the area of each hull, grown by `margin` metres on all sides: (A,), m² (Steiner 1840)."""
        following = self.hulls.roll(-1, dims=1)
        (x, y), (next_x, next_y) = self.hulls.unbind(-1), following.unbind(-1)
        area = (x * next_y - next_x * y).sum(-1) / 2
        perimeter = (following - self.hulls).norm(dim=-1).sum(-1)
        return area + perimeter * margin + math.pi * margin**2

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Footprints:
        """The same footprints on another device, in `dtype`."""
        return Footprints(self.hulls.to(device, dtype), self.directions.to(device, dtype))

    def reach(self, asset: Tensor, yaw: Tensor) -> Tensor:
        """Compute how far each object extends from its origin in each direction: its support function.

        Args:
            asset: (B, N) int64, −1 for none.
            yaw: (B, N), radians.

        Returns:
            (B, N, D), metres.
        """
        footprints = self.to(yaw.device, yaw.dtype)
        cosine, sine = yaw.cos()[..., None], yaw.sin()[..., None]
        x, y = footprints.directions.unbind(-1)
        in_object = torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)
        hulls = footprints.hulls[asset.clamp(min=0)]
        return (in_object @ hulls.transpose(-1, -2)).amax(dim=-1)

    def separation(self, asset: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        """Compute the gaps between all pairs of hulls, differentiable in position and yaw.

        Args:
            asset: (B, N) int64, −1 for none.
            position: (B, N, 2 or 3), metres.
            yaw: (B, N), radians.

        Returns:
            (B, N, N), metres, symmetric: max over directions d of d·(c_j − c_i) − h_i(d) − h_j(−d), the
            separating-axis test, with h the support function. Positive values are a lower bound of the
            distance; negative ones are minus the translation that separates interpenetrating hulls. As only D
            directions are tested, the value is never more than the true one: a millimetre or two less for
            round objects, up to a centimetre for a pan, which has long straight sides. +inf on the diagonal
            and for empty slots.
        """
        reach = self.reach(asset, yaw)
        far = position[..., :2] @ self.directions.to(position).T + reach  # (B, N, D), farthest along d
        near = -far.roll(len(self.directions) // 2, dims=-1)  # nearest along d
        gaps = (near[:, None] - far[:, :, None]).amax(dim=-1)
        present = asset >= 0
        same = torch.eye(asset.shape[1], dtype=torch.bool, device=asset.device)
        return gaps.masked_fill(same | ~(present[:, :, None] & present[:, None, :]), torch.inf)


def _hull(points: Tensor, name: str) -> Tensor:
    """Corners of the convex hull, counter-clockwise.

    Args:
        points: (P, 2).

    Returns:
        (V, 2).
    """
    try:
        corners = ConvexHull(points.double().numpy()).vertices
    except QhullError as problem:
        raise AssetError(f"asset '{name}' seen from above has no area: expected a solid mesh") from problem
    return points[torch.from_numpy(corners).long()]
