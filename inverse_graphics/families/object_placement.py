"""Where things stand on a table so that none cuts into another: joint rejection."""

from __future__ import annotations

import math
from collections import Counter
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
MAX_LISTED = 6
"""Kinds that a message lists."""
TRIAL_SIZE = 8192
"""Proposals by which `check` decides that a scene is too crowded."""


@dataclass(frozen=True)
class ObjectPlacement:
    """Positions uniform over a rectangle and yaws uniform over the circle, given that hulls stay apart.

    Attributes:
        names: of the M kinds, for messages.
        footprints: of the kinds.
        has_yaw: (M,) bool, kinds whose yaw is visible; others get 0.
        reach: (x, y), metres, half sides of the rectangle, whose middle is the origin.
        clearance: metres, the least separation of two footprints.
    """

    names: tuple[str, ...]
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
        self._check_areas(asset)
        position, yaw = torch.zeros(*asset.shape, 3), torch.zeros(asset.shape)
        waiting, rejected, proposals = torch.arange(len(asset)), 0, 2
        while len(waiting):
            if rejected > MAX_REJECTED:
                raise SceneError(self._complaint(asset[waiting[0]], f"{MAX_REJECTED:,} placements tried"))
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

    def check(self, asset: Tensor) -> None:
        """Refuse, within about a second, objects for which `place` would search in vain or for minutes.

        Args:
            asset: (N,) int64, the kinds of one scene, −1 for none.

        Raises:
            SceneError: their areas are too large, or none of `TRIAL_SIZE` placements fits.

        """
        self._check_areas(asset[None])
        generator, tried, proposals = torch.Generator().manual_seed(0), 0, 64
        while tried < TRIAL_SIZE:
            candidates = asset.expand(proposals, -1)
            if self.fits(candidates, *self.propose(candidates, generator)).any():
                return
            tried, proposals = tried + proposals, min(4 * proposals, BATCH_SIZE)
        raise SceneError(self._complaint(asset, f"none of {tried:,} random placements fits"))

    def _check_areas(self, asset: Tensor) -> None:
        """Refuse scenes whose footprints cannot be disjoint.

        Footprints grown by half the clearance do not overlap, and lie in the rectangle of the origins grown
        by the largest footprint's radius and half the clearance.
        """
        half = self.clearance / 2
        present, kind = asset >= 0, asset.clamp(min=0)
        covered = (self.footprints.area(half)[kind] * present).sum(-1)
        margin = (self.footprints.radius[kind] * present).amax(-1) + half
        x, y = self.reach
        available = 4 * x * y + 4 * (x + y) * margin + math.pi * margin.square()
        crowded = torch.nonzero((present.sum(-1) > 1) & (covered > available))
        if len(crowded):
            first = int(crowded[0])
            need, room = (10_000 * float(area[first]) for area in (covered, available))
            why = f"with half the clearance around each they cover {need:,.0f} cm², and there are {room:,.0f}"
            raise SceneError(self._complaint(asset[first], why))

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

    def _complaint(self, asset: Tensor, why: str) -> str:
        width, depth = (200 * half for half in self.reach)
        kinds = Counter(self.names[kind] for kind in asset.tolist() if kind >= 0)
        listed = ", ".join(f"{number} {name}" for name, number in kinds.most_common(MAX_LISTED))
        others = ", …" if len(kinds) > MAX_LISTED else ""
        return (
            f"{kinds.total()} objects do not fit {100 * self.clearance:g} cm apart on "
            f"{width:g} x {depth:g} cm ({listed}{others}: {why}): widen reach_m, or lower clearance_m or the "
            "largest count"
        )
