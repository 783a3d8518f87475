"""What objects that stand on a table take up of it, and how far apart they stand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.mesh import MeshLibrary


@dataclass(frozen=True)
class Footprints:
    """The convex hull of each mesh's projection on z = 0, and directions in which hulls are measured.

    hulls: (A, V, 2), metres, object frame; a hull of fewer corners repeats its first one.
    directions: (D, 2), unit, world frame, evenly about the circle, each with its opposite.
    """

    hulls: Tensor
    directions: Tensor

    @classmethod
    def from_library(cls, library: MeshLibrary, directions: int = 32) -> Footprints:
        """Measure all meshes of a library; `directions` is even and at least 4.

        Raises:
            AssetError: a mesh has no width or no depth, so that it cannot stand.
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

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Footprints:
        """The same footprints on another device, in `dtype`."""
        return Footprints(self.hulls.to(device, dtype), self.directions.to(device, dtype))

    def reach(self, asset: Tensor, yaw: Tensor) -> Tensor:
        """How far each object reaches from its origin in each direction: its hull's support function.

        asset: (B, N) int64, −1 for none.  yaw: (B, N), radians.  Returns (B, N, D), metres.
        """
        footprints = self.to(yaw.device, yaw.dtype)
        cosine, sine = yaw.cos()[..., None], yaw.sin()[..., None]
        x, y = footprints.directions.unbind(-1)
        turned = torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)  # into object frames
        hulls = footprints.hulls[asset.clamp(min=0)]
        return (turned @ hulls.transpose(-1, -2)).amax(dim=-1)

    def separation(self, asset: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        """Measure the gaps between all pairs of hulls, differentiably in position and yaw.

        asset: (B, N) int64, −1 for none.  position: (B, N, 2 or 3), metres.  yaw: (B, N), radians.
        Returns (B, N, N), metres, symmetric: max over directions d of d·(c_j − c_i) − h_i(d) − h_j(−d), the
        separating-axis test, with h the support function. Positive: so far apart, at least; negative: they
        interpenetrate, and moving them by that much parts them. As only D directions are tried, it is never
        more than the true value: a millimetre or two less for round things, up to a centimetre for a pan,
        whose long straight sides want directions of their own. +inf on the diagonal and for empty slots.
        """
        reach = self.reach(asset, yaw)
        ahead = position[..., :2] @ self.directions.to(position).T + reach  # (B, N, D), farthest along d
        behind = -ahead.roll(len(self.directions) // 2, dims=-1)  # nearest along d
        gaps = (behind[:, None] - ahead[:, :, None]).amax(dim=-1)
        present = asset >= 0
        alone = torch.eye(asset.shape[1], dtype=torch.bool, device=asset.device)
        return gaps.masked_fill(alone | ~(present[:, :, None] & present[:, None, :]), torch.inf)


def _hull(points: Tensor, name: str) -> Tensor:
    """Corners of the convex hull, counter-clockwise.  points: (P, 2).  Returns (V, 2)."""
    try:
        corners = ConvexHull(points.double().numpy()).vertices
    except QhullError as problem:
        raise AssetError(f"asset '{name}' seen from above has no area: expected something solid") from problem
    return points[torch.from_numpy(corners).long()]
