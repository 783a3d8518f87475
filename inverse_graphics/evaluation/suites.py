"""Evaluation suites: in-distribution images with the truth, and out-of-distribution images to be flagged.

Suites are in a registry by model type. That of 2D models, images of several test digits, is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from inverse_graphics.data.mnist import Source, load_digits
from inverse_graphics.data.multi_object import MultiObjectBatch, MultiObjectImages
from inverse_graphics.data.out_of_distribution import OUT_OF_DISTRIBUTION, Images
from inverse_graphics.inference.parse import Box, Parse
from inverse_graphics.io.registry import Registry
from inverse_graphics.models.weights import ModelDocument

OutOfDistributionImages = Mapping[str, Callable[[int, np.random.Generator], Images | None]]
"""Kinds of out-of-distribution images; a kind gives None where this machine does not have its files."""


class Scores(NamedTuple):
    """Accuracy of parses; None where a figure does not apply.

    Attributes:
        count_accuracy: share of images whose count is right.
        overlap: median intersection over union of a true tight box and the best inferred box, where the count
            is right.
        identity_accuracy: share of true objects that are found and named right.
        position_error_m: median over objects found.
        rotation_error_degrees: median over objects named right, of the worst of the kinds that have an
            orientation.
        camera_error_degrees: median over images.
    """

    count_accuracy: float | None = None
    overlap: float | None = None
    identity_accuracy: float | None = None
    position_error_m: float | None = None
    rotation_error_degrees: float | None = None
    camera_error_degrees: float | None = None


@dataclass(frozen=True)
class InDistributionImages:
    """New images from a model's training distribution.

    Attributes:
        score: compares parses of them with the truth.
    """

    images: Images
    score: Callable[[Sequence[Parse]], Scores]


class EvaluationSuite(Protocol):
    """The images on which models of one type are evaluated."""

    @property
    def name(self) -> str:
        """The name of the in-distribution images."""

    def in_distribution(self, number: int, seed: int) -> InDistributionImages:
        """Make in-distribution images.

        Args:
            number: how many.
            seed: which.

        Raises:
            DataError: data that they are made of is missing and cannot be fetched.

        """

    @property
    def out_of_distribution(self) -> OutOfDistributionImages:
        """Images that should get a warning."""


MakeSuite = Callable[[ModelDocument, Source], EvaluationSuite]
"""Makes a suite for a model, from what is known of it, and of which digits if it is a 2D model."""

SUITES: Registry[MakeSuite] = Registry(
    "model type", "inverse_graphics.evaluation.suites", "inverse_graphics.evaluation.scene_images"
)
"""Evaluation suites by the type of model."""


@dataclass(frozen=True)
class DigitSuite:
    """The `EvaluationSuite` of 2D models.

    Attributes:
        digits: which test digits.
    """

    digits: Source
    name: str = "multi-MNIST"

    def in_distribution(self, number: int, seed: int) -> InDistributionImages:
        """Images of MNIST's test digits."""
        batch = MultiObjectImages(load_digits("test", self.digits)).fixed_set(number, seed)
        return InDistributionImages(list(batch.images), lambda parses: _scores(parses, batch))

    @property
    def out_of_distribution(self) -> OutOfDistributionImages:
        """Drawings, sprites, noise and photographs."""
        return OUT_OF_DISTRIBUTION


@SUITES.register("air2d")
def digit_suite(document: ModelDocument, digits: Source) -> EvaluationSuite:
    """Make the suite of a 2D model."""
    del document
    return DigitSuite(digits)


def _scores(parses: Sequence[Parse], truth: MultiObjectBatch) -> Scores:
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
    """Intersection over union of two boxes x, y, width, height, in [0, 1]."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
