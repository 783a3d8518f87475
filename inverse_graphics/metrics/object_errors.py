"""Matching of inferred with true objects, and the errors of each true object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from inverse_graphics.metrics.figure import Figure
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.packs.symmetry import Symmetry, symmetric_angle


class ObjectErrors(NamedTuple):
    """One row for each of the D true objects of all images.

    Attributes:
        kind: (D,) int64.
        found: (D,) bool, matched with an inferred object.
        identified: (D,) bool, found and of the right kind.
        distance: (D,), metres, undefined where not found.
        angle: (D,), degrees modulo symmetry, 0 for kinds with spherical symmetry, undefined where not
            identified.
    """

    kind: Tensor
    found: Tensor
    identified: Tensor
    distance: Tensor
    angle: Tensor

    @classmethod
    def measure(
        cls,
        predicted: PredictedScenes,
        truth: PredictedScenes,
        slots: Tensor,
        symmetries: Sequence[Symmetry],
    ) -> ObjectErrors:
        """Compare true objects with the predicted ones at `slots`.

        Args:
            slots: (B, N), index into the slots of `predicted`, −1 where there is no match.
            symmetries: of each kind.
        """
        image, slot = (truth.asset >= 0).nonzero(as_tuple=True)
        partner, kind = slots[image, slot], truth.asset[image, slot]
        found = partner >= 0
        partner = partner.clamp_min(0)
        if not predicted.asset.shape[1]:
            return cls(kind, found, found, torch.zeros(len(kind)), torch.zeros(len(kind)))
        identified = found & (predicted.asset[image, partner] == kind)
        distance = (predicted.position[image, partner] - truth.position[image, slot]).norm(dim=-1)
        inferred, true = predicted.rotation[image, partner], truth.rotation[image, slot]
        return cls(kind, found, identified, distance, _angles(inferred, true, kind, symmetries))

    @classmethod
    def match(
        cls,
        predicted: PredictedScenes,
        truth: PredictedScenes,
        within_m: float,
        symmetries: Sequence[Symmetry],
    ) -> tuple[ObjectErrors, Tensor, Tensor]:
        """Match objects within a distance, and compare them in float64.

        Args:
            predicted: B scenes.
            truth: B scenes.
            within_m: the largest distance of a match, metres.
            symmetries: of each kind.

        Returns:
            The errors of the D true objects, the scene (D,) of each, and `slots` as `measure` takes them.
        """
        predicted, truth = predicted.to_float64(), truth.to_float64()
        slots = matched_slots(predicted, truth, within_m)
        scene = (truth.asset >= 0).nonzero()[:, 0]
        return cls.measure(predicted, truth, slots, symmetries), scene, slots

    def only(self, chosen: Tensor) -> ObjectErrors:
        """Select the rows where `chosen` (D,) is true."""
        return ObjectErrors(*(column[chosen] for column in self))

    def figures(
        self, orientable: Mapping[int, str], seen: str = "", width_m: float | None = None
    ) -> list[Figure]:
        """Compute the figures of recall, identity, position and rotation.

        Args:
            orientable: the kinds whose orientation is observable, with their names.
            seen: "visible " if the rows are visible objects only, "" if they are all objects.
            width_m: visible width, metres, for relative errors.
        """
        end = f"_{seen.strip()}" if seen else ""
        true, matched = f"true {seen}objects", f"matched {seen}objects"
        return [
            Figure.share(f"recall{end}", "objects found", self.found, true),
            Figure.share(f"identity_of_matched{end}", "identity right", self.identified[self.found], matched),
            Figure.share(
                f"identity_of_all{end}", "identity right, missed counting as wrong", self.identified, true
            ),
            *Figure.quantiles(
                f"position_error_m{end}", "position error", self.distance[self.found], "m", matched
            ),
            *self._width_share(end, width_m, matched),
            *self._rotation(orientable, end, f"identified {seen}objects"),
        ]

    def _width_share(self, end: str, width_m: float | None, of: str) -> list[Figure]:
        if width_m is None:
            return []
        errors, label = self.distance[self.found] / width_m, "position error over the visible width"
        return Figure.quantiles(f"position_error_of_width{end}", label, errors, "share", of)

    def _rotation(self, orientable: Mapping[int, str], end: str, of: str) -> list[Figure]:
        name, label = f"rotation_error_deg{end}", "rotation error"
        own = {kind: self.identified & (self.kind == kind) for kind in orientable}
        every = self.identified & torch.isin(self.kind, torch.tensor(list(orientable), dtype=torch.int64))
        figures = Figure.quantiles(
            name, label, self.angle[every], "deg", f"{of} of kinds with an orientation"
        )
        for kind, kind_name in orientable.items():
            figures += Figure.quantiles(
                f"{name}/{kind_name}",
                f"{label} of {kind_name}",
                self.angle[own[kind]],
                "deg",
                f"{of} of this kind",
            )
        return figures


def _angles(inferred: Tensor, true: Tensor, kind: Tensor, symmetries: Sequence[Symmetry]) -> Tensor:
    """Rotation errors in degrees modulo each object's own symmetry."""
    angle = torch.zeros(len(kind), dtype=true.dtype)
    for index, symmetry in enumerate(symmetries):
        own = kind == index
        angle[own] = torch.rad2deg(symmetric_angle(true[own], inferred[own], symmetry))
    return angle


def matched_slots(predicted: PredictedScenes, truth: PredictedScenes, match_distance_m: float) -> Tensor:
    """Match true with inferred objects by position alone, each at most once.

    Of all assignments within this distance, those with the most pairs are candidates, and of these the one
    with the smallest sum of distances is chosen (Kuhn 1955).
    Returns (B, N) int64 for the slots of `truth`: the slot in `predicted`, −1 where there is no match.


    Args:
        match_distance_m: the largest distance of a pair.
    """
    distance = torch.cdist(truth.position, predicted.position, compute_mode="donot_use_mm_for_euclid_dist")
    filled = (truth.asset >= 0)[:, :, None] & (predicted.asset >= 0)[:, None, :]
    allowed = filled & (distance <= match_distance_m)
    # one forbidden pair costs more than all allowed ones together
    forbidden = match_distance_m * (1 + min(distance.shape[1:], default=0)) + 1
    cost = torch.where(allowed, distance, forbidden)
    slots = torch.full_like(truth.asset, -1)
    for image in allowed.any(-1).any(-1).nonzero().squeeze(-1).tolist():
        rows, columns = (torch.from_numpy(index) for index in linear_sum_assignment(cost[image].numpy()))
        valid = allowed[image, rows, columns]
        slots[image, rows[valid]] = columns[valid]
    return slots
