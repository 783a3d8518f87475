"""Images of several test digits, for 2D models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inverse_graphics.data.canvases import CanvasBatch, Canvases
from inverse_graphics.data.foreign_images import FOREIGN
from inverse_graphics.data.mnist import Source, load_digits
from inverse_graphics.parse import Box, Parse
from inverse_graphics.report.exam import FamiliarImages, ForeignImages, Marks


@dataclass(frozen=True)
class DigitExam:
    """An `Exam`."""

    digits: Source
    name: str = "multi-MNIST"

    def familiar(self, number: int, seed: int) -> FamiliarImages:
        """Images of MNIST's test digits."""
        batch = Canvases(load_digits("test", self.digits)).fixed_set(number, seed)
        return FamiliarImages(list(batch.images), lambda parses: _marks(parses, batch))

    @property
    def foreign(self) -> ForeignImages:
        """Drawings, sprites, noise and photographs."""
        return FOREIGN


def _marks(parses: Sequence[Parse], truth: CanvasBatch) -> Marks:
    right = np.mean(truth.counts == [parse.count for parse in parses])
    return Marks(count_accuracy=float(right), overlap=_median_overlap(parses, truth))


def _median_overlap(parses: Sequence[Parse], truth: CanvasBatch) -> float | None:
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
