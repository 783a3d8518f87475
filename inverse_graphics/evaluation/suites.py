"""What a model is examined by: images like those it was trained on, with the truth, and quite other ones.

Images of several test digits, for 2D models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from inverse_graphics.data.mnist import Source, load_digits
from inverse_graphics.data.multi_object import MultiObjectBatch, MultiObjectImages
from inverse_graphics.data.out_of_distribution import FOREIGN, Images
from inverse_graphics.inference.parse import Box, Parse

ForeignImages = Mapping[str, Callable[[int, np.random.Generator], Images | None]]
"""Kinds of foreign images; a kind gives None where this machine does not have its files."""


class Scores(NamedTuple):
    """How right parses are; None where that does not apply.

    count_accuracy: share of images whose count is right.  overlap: median intersection over union of a true
    tight box and the best box found, where the count is right.  identity_accuracy: share of true objects that
    were found and named right.  position_error_m: median over objects that were found.
    rotation_error_degrees: median over objects named right, of the worst of the kinds that have an
    orientation.  camera_error_degrees: median over images.
    """

    count_accuracy: float | None = None
    overlap: float | None = None
    identity_accuracy: float | None = None
    position_error_m: float | None = None
    rotation_error_degrees: float | None = None
    camera_error_degrees: float | None = None


@dataclass(frozen=True)
class FamiliarImages:
    """Images like those a model was trained on, none of which it has seen, and how to mark what it says."""

    images: Images
    mark: Callable[[Sequence[Parse]], Scores]


class EvaluationSuite(Protocol):
    """Images to examine a kind of model with."""

    @property
    def name(self) -> str:
        """What the familiar images are called."""

    def familiar(self, number: int, seed: int) -> FamiliarImages:
        """Make `number` of them.

        Raises:
            DataError: what they are made of is missing and cannot be fetched.
        """

    @property
    def foreign(self) -> ForeignImages:
        """Images to be warned about."""


@dataclass(frozen=True)
class DigitSuite:
    """An `EvaluationSuite`."""

    digits: Source
    name: str = "multi-MNIST"

    def familiar(self, number: int, seed: int) -> FamiliarImages:
        """Images of MNIST's test digits."""
        batch = MultiObjectImages(load_digits("test", self.digits)).fixed_set(number, seed)
        return FamiliarImages(list(batch.images), lambda parses: _marks(parses, batch))

    @property
    def foreign(self) -> ForeignImages:
        """Drawings, sprites, noise and photographs."""
        return FOREIGN


def _marks(parses: Sequence[Parse], truth: MultiObjectBatch) -> Scores:
    right = np.mean(truth.counts == [parse.count for parse in parses])
    return Scores(count_accuracy=float(right), overlap=_median_overlap(parses, truth))


def _median_overlap(parses: Sequence[Parse], truth: MultiObjectBatch) -> float | None:
    overlaps = [
        max(intersection_over_union(found.box_px, tuple(box)) for found in parse.objects)
        for parse, count, boxes in zip(parses, truth.counts, truth.boxes, strict=True)
        if parse.count == count
        for box in boxes[:count].tolist()
    ]
    return float(np.median(overlaps)) if overlaps else None


def intersection_over_union(one: Box, other: Box) -> float:
    """Of two boxes x, y, width, height: in [0, 1], 1 where they are the same."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
