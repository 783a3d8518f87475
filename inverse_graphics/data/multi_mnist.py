"""Multi-MNIST: a few digits on a black canvas, none touching another's box.

Eslami et al. 2016, "Attend, Infer, Repeat", section 3.1: 50×50 pixels, 0, 1 or 2 digits with equal
probability. Here the digits' tight boxes are disjoint, so that a count is always well defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from inverse_graphics.data.mnist import Digits
from inverse_graphics.errors import DataError

CANDIDATES = 16
"""Placements proposed at once for each image; the first that fits is taken."""
ROUNDS = 1000
"""Rounds of proposals after which digits are said not to fit on the canvas."""
BLOCK = 256
"""Images per batch of a fixed set."""


class MultiMnistSettings(BaseModel):
    """What multi-MNIST images look like.

    size: side of the square canvas, pixels.
    count_weights: relative frequency of 0, 1, 2, … digits; they need not sum to one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=50, ge=20, le=1024)
    count_weights: tuple[float, ...] = Field(default=(1.0, 1.0, 1.0), min_length=1, max_length=17)

    @field_validator("count_weights")
    @classmethod
    def _not_negative(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if not all(np.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError("weights are finite and not negative")
        return weights

    @model_validator(mode="after")
    def _some_count_possible(self) -> Self:
        if not sum(self.count_weights) > 0:
            raise ValueError("count_weights: at least one weight is positive")
        return self

    @property
    def largest_count(self) -> int:
        """The most digits that an image can hold."""
        return len(self.count_weights) - 1

    @property
    def count_probabilities(self) -> NDArray[np.float64]:
        """(largest_count + 1,), summing to one."""
        weights = np.asarray(self.count_weights, np.float64)
        return weights / weights.sum()


_PAPER = MultiMnistSettings()


class MultiMnistBatch(NamedTuple):
    """B images and what is on them; slots beyond an image's count hold zeros, and label −1.

    images: (B, size, size) float32 in [0, 1].  counts: (B,) int64.
    boxes: (B, M, 4) int64, x and y of the top left pixel, width, height, in pixels, of each tight box.
    labels: (B, M) int64.
    """

    images: NDArray[np.float32]
    counts: NDArray[np.int64]
    boxes: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class MultiMnist:
    """An endless, reproducible stream of multi-MNIST images made of given digits.

    Batch k of seed s depends on (s, k) alone, so that a run resumes from the number of its step.
    """

    digits: Digits
    settings: MultiMnistSettings = _PAPER

    def __post_init__(self) -> None:
        boxes = self.tight
        if len(boxes) == 0 or not boxes[:, 2:].all():
            raise DataError(
                f"{len(boxes)} digits, {int((boxes[:, 2] == 0).sum())} of them blank: expected at least one, "
                "each with ink; provide the original files"
            )
        if boxes[:, 2:].max() > self.settings.size:
            raise DataError(
                f"a digit of {boxes[:, 2:].max()} pixels does not fit a canvas of {self.settings.size}: "
                "choose a larger size"
            )

    @cached_property
    def tight(self) -> NDArray[np.int64]:
        """(n, 4), the digits' tight boxes within their own images."""
        return tight_boxes(self.digits.images)

    def batch(self, size: int, seed: int, index: int) -> MultiMnistBatch:
        """Batch number `index` of the stream of `seed`, `size` images; both at least 0 and below 2⁶⁴.

        Raises:
            DataError: the digits drawn do not fit side by side on the canvas.
        """
        generator = np.random.Generator(np.random.Philox(key=np.array([seed, index], np.uint64)))
        slots = self.settings.largest_count
        counts = generator.choice(len(self.settings.count_weights), size, p=self.settings.count_probabilities)
        chosen = generator.integers(len(self.digits), size=(size, slots))
        present = np.arange(slots) < counts[:, None]
        extents = np.where(present[..., None], self.tight[chosen, 2:], 0)
        boxes = np.concatenate([_place(extents, self.settings.size, generator), extents], axis=-1)
        return MultiMnistBatch(
            images=self._draw(chosen, self.tight[chosen], boxes, present),
            counts=counts,
            boxes=boxes,
            labels=np.where(present, self.digits.labels[chosen], -1),
        )

    def fixed_set(self, count: int, seed: int) -> MultiMnistBatch:
        """The first `count` images of the stream of `seed` in batches of 256, as one batch."""
        blocks = [self.batch(BLOCK, seed, index) for index in range(max(1, -(-count // BLOCK)))]
        return MultiMnistBatch(*(np.concatenate(parts)[:count] for parts in zip(*blocks, strict=True)))

    def _draw(
        self,
        chosen: NDArray[np.int64],
        sources: NDArray[np.int64],
        targets: NDArray[np.int64],
        present: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Copy the ink in box `sources` of each present digit to box `targets` of its canvas."""
        canvas = np.zeros((len(chosen), self.settings.size, self.settings.size), np.uint8)
        where = present.nonzero()
        pasted = zip(
            where[0].tolist(), chosen[where].tolist(), sources[where].tolist(), targets[where].tolist(),
            strict=True,
        )  # fmt: skip
        for image, digit, (u, v, width, height), (x, y, _, _) in pasted:
            canvas[image, y : y + height, x : x + width] = self.digits.images[
                digit, v : v + height, u : u + width
            ]
        return np.divide(canvas, np.float32(255))


def tight_boxes(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, 4): x, y, width, height of the smallest box holding all pixels > 0; zeros where there are none.

    images: (n, height, width).
    """
    columns: NDArray[np.bool_] = images.max(axis=1) > 0
    rows: NDArray[np.bool_] = images.max(axis=2) > 0
    x, y = columns.argmax(axis=1), rows.argmax(axis=1)
    right = columns.shape[1] - columns[:, ::-1].argmax(axis=1)
    bottom = rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    boxes = np.stack([x, y, right - x, bottom - y], axis=1)
    inked = columns.max(axis=1, keepdims=True)
    return np.where(inked, boxes, 0).astype(np.int64)


def _place(extents: NDArray[np.int64], size: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Top left corners, uniform over all placements whose boxes lie on the canvas and are disjoint.

    extents: (B, M, 2), width and height; zeros mark an empty slot, which gets the corner (0, 0). Whole
    placements are proposed and rejected, since moving only the digit that collides would not be uniform.
    """
    corners = np.zeros_like(extents)
    waiting = np.arange(len(extents))
    for _ in range(ROUNDS):
        wanted = extents[waiting]
        room = np.where(wanted > 0, size + 1 - wanted, 1)
        shape = (CANDIDATES, *wanted.shape)
        proposed = (generator.random(shape, np.float32) * room).astype(np.int64)
        fits = _disjoint(proposed, wanted)
        corners[waiting] = proposed[fits.argmax(axis=0), np.arange(len(waiting))]
        waiting = waiting[~fits.any(axis=0)]
        if len(waiting) == 0:
            return corners
    raise DataError(
        f"{extents.shape[1]} digits do not fit side by side on {size}×{size} pixels: "
        "choose a larger size or fewer digits"
    )


def _disjoint(corners: NDArray[np.int64], extents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether no two boxes of an image share a pixel; empty slots share none.

    corners: (K, B, M, 2).  extents: (B, M, 2).  Returns (K, B).
    """
    far = corners + extents
    fits = np.ones(corners.shape[:2], np.bool_)
    for first in range(extents.shape[1]):
        for second in range(first + 1, extents.shape[1]):
            overlap = (corners[:, :, first] < far[:, :, second]) & (corners[:, :, second] < far[:, :, first])
            both = extents[:, first].all(axis=-1) & extents[:, second].all(axis=-1)
            fits &= ~(overlap.all(axis=-1) & both)
    return fits
