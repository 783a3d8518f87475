"""Where things stand on a table so that none cuts into another: joint rejection."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.errors import SceneError
from inverse_graphics.families.quantities import uniform
from inverse_graphics.packs.footprint import Footprints

BATCH_SIZE = 4096
"""Proposals that are tested together, unless more scenes wait."""
MAX_REJECTED = 100_000
"""Rejected proposals in a row, after which placement fails."""


@dataclass(frozen=True)
class ObjectPlacement:
    """Positions uniform over a rectangle and yaws uniform over the circle, given that hulls stay apart.

    Attributes:
        reach: (x, y), metres, half sides of the rectangle, whose middle is the origin.
        clearance: metres, the least separation of two footprints.
        has_yaw: (M,) bool, kinds whose yaw is visible; others get 0.
    """

    footprints: Footprints
    has_yaw: Tensor
    reach: tuple[float, float]
    clearance: float

    def place(self, asset: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw positions and yaws for objects of given kinds.

        All objects of a scene are drawn anew until none comes too close to another: moving only those that
        do would not be uniform over the placements that fit.

        Args:
            asset: (B, N) int64, −1 for none.

        Returns:
            position (B, N, 3) and yaw (B, N), zeros where none is.

        Raises:
            SceneError: some scene's objects do not fit.

        """
        position, yaw = torch.zeros(*asset.shape, 3), torch.zeros(asset.shape)
        waiting, rejected, proposals = torch.arange(len(asset)), 0, 2
        while len(waiting):
            if rejected > MAX_REJECTED:
                raise SceneError(self._complaint(int((asset[waiting[0]] >= 0).sum())))
            proposals = max(1, min(2 * proposals, BATCH_SIZE // len(waiting)))
            candidates = asset[waiting].repeat(proposals, 1)
            proposal = self.propose(candidates, generator)
            fits = self.fits(candidates, *proposal).reshape(proposals, -1)
            found, row = fits.any(dim=0), fits.int().argmax(dim=0) * len(waiting) + torch.arange(len(waiting))
            position[waiting[found], :, :2] = proposal[0][row[found]]
            yaw[waiting[found]] = proposal[1][row[found]]
            rejected = 0 if found.any() else rejected + len(candidates)
            waiting = waiting[~found]
        return position, yaw

    def propose(self, asset: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw positions (B, N, 2) and yaws (B, N), whether they fit or not."""
        present = asset >= 0
        reach = torch.tensor(self.reach)
        position = uniform(-reach, reach, (*asset.shape, 2), generator) * present[..., None]
        half_turn = torch.tensor(math.pi)
        yaw = uniform(-half_turn, half_turn, tuple(asset.shape), generator)
        return position, yaw * (present & self.has_yaw[asset.clamp(min=0)])

    def fits(self, asset: Tensor, position: Tensor, yaw: Tensor) -> Tensor:
        """(B,) bool: whether all objects keep the clearance from each other."""
        gaps = self.footprints.separation(asset, position, yaw)
        return gaps.flatten(1).amin(dim=1) >= self.clearance

    def _complaint(self, count: int) -> str:
        width, depth = (200 * half for half in self.reach)
        return (
            f"{count} objects do not fit {100 * self.clearance:g} cm apart on {width:g} x {depth:g} cm "
            f"({MAX_REJECTED:,} placements tried): widen reach_m, or lower clearance_m or the largest count"
        )
