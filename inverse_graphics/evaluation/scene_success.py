"""Which scenes were found as they are: a verdict for each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.metrics.object_errors import ObjectErrors, matched_slots
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.packs.symmetry import Symmetry

WITHIN_M, WITHIN_DEGREES = 0.02, 15.0


class Verdicts(NamedTuple):
    """Of each image, (B,) bool.

    counted: the count is right.  placed: and every true object has one of its own kind within `WITHIN_M`, in
    the world.  succeeded: and each is turned by at most `WITHIN_DEGREES` from the true one, modulo its
    symmetry. Objects that others hide count as the others do.
    """

    counted: Tensor
    placed: Tensor
    succeeded: Tensor


def judge(predicted: PredictedScenes, truth: PredictedScenes, symmetries: Sequence[Symmetry]) -> Verdicts:
    """Compare image by image."""
    predicted, truth = predicted.measured(), truth.measured()
    slots = matched_slots(predicted, truth, WITHIN_M)
    errors = ObjectErrors.measure(predicted, truth, slots, symmetries)
    image = (truth.asset >= 0).nonzero()[:, 0]

    def all_of(right: Tensor) -> Tensor:
        wrong = torch.zeros(len(truth.count), dtype=torch.int64)
        return wrong.index_add(0, image, (~right).long()) == 0

    counted = predicted.count == truth.count
    placed = counted & all_of(errors.identified)
    return Verdicts(counted, placed, placed & all_of(errors.angle <= WITHIN_DEGREES))
