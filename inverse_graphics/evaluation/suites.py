"""Evaluation suites: in-distribution images with ground truth, and out-of-distribution images.

A registry maps model types to suites. The suite of 2D models, images of MNIST test digits, is in this file.
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
"""Generators of out-of-distribution images by name; one returns None if its files are not on this machine."""


class Scores(NamedTuple):
    """Accuracy of parses; None where a figure does not apply.

    Attributes:
        count_accuracy: share of images with the correct count.
        overlap: median intersection over union of a true tight box and the best inferred box, over images
            with the correct count.
        identity_accuracy: share of true objects that are matched by an object of the correct kind.
        position_error_m: median position error of matched objects.
        rotation_error_degrees: median rotation error of correctly classified objects, for the kind with the
            largest median.
        camera_error_degrees: median error of the viewing direction.
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
        images: the images, (H, W, 3) or (H, W) each.
        score: compares parses of the images with the ground truth.
    """

    images: Images
    score: Callable[[Sequence[Parse]], Scores]


class EvaluationSuite(Protocol):
    """The test images of one type of model."""

    @property
    def name(self) -> str:
        """The name of the in-distribution images."""

    def in_distribution(self, number: int, seed: int) -> InDistributionImages:
        """Make in-distribution images.

        Args:
            number: number of images.
            seed: seed of the images.

        Raises:
            DataError: required data is missing and cannot be fetched.

        """

    @property
    def out_of_distribution(self) -> OutOfDistributionImages:
        """Generators of images for which a model should give a warning."""


MakeSuite = Callable[[ModelDocument, Source], EvaluationSuite]
"""Makes the suite of a model from its document and, for 2D models, a source of digits."""

SUITES: Registry[MakeSuite] = Registry(
    "model type", "inverse_graphics.evaluation.suites", "inverse_graphics.evaluation.scene_images"
)
"""Evaluation suites by model type."""


@dataclass(frozen=True)
class DigitSuite:
    """The `EvaluationSuite` of 2D models.

    Attributes:
        digits: source of the test digits.
        name: the name of the in-distribution images.
    """

    digits: Source
    name: str = "multi-MNIST"

    def in_distribution(self, number: int, seed: int) -> InDistributionImages:
        """Images of MNIST's test digits."""
        batch = MultiObjectImages(load_digits("test", self.digits)).fixed_set(number, seed)
        return InDistributionImages(list(batch.images), lambda parses: _scores(parses, batch))

    @property
    def out_of_distribution(self) -> OutOfDistributionImages:
        """Generators of drawings, sprites, noise and photographs."""
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
    """Compute the intersection over union of two boxes (x, y, width, height)."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
