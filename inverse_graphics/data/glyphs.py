"""Glyphs (small labelled images, white on black) and their placement in images by rejection sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.errors import DataError


@dataclass(frozen=True)
class Glyphs:
    """Labelled glyphs.

    Attributes:
        images: (n, height, width) uint8, ink 255 on 0.
        labels: (n,) int64, at least 0.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"glyphs of shape {self.images.shape} with labels of shape {self.labels.shape}: "
                "expected (n, height, width) and (n,)"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def tight(self) -> NDArray[np.int64]:
        """The glyphs' bounding boxes within their own images: (n, 4)."""
        return tight_boxes(self.images)

    def divided(self, last: int) -> tuple[Glyphs, Glyphs]:
        """Split into all but the `last` glyphs, and these."""
        first = len(self) - last
        return Glyphs(self.images[:first], self.labels[:first]), Glyphs(
            self.images[first:], self.labels[first:]
        )

    def ink(self, index: int, width: int, height: int) -> NDArray[np.uint8]:
        """The contents of a glyph's bounding box, resampled to (height, width) if that differs."""
        x, y, w, h = self.tight[index].tolist()
        cut = self.images[index, y : y + h, x : x + w]
        if (w, h) == (width, height):
            return cut
        return np.asarray(Image.fromarray(cut).resize((width, height), Image.Resampling.BILINEAR))


class Split(NamedTuple):
    """Glyphs for training, for calibration of the outlier detector, and for testing."""

    train: Glyphs
    calibration: Glyphs
    test: Glyphs


def tight_boxes(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Compute bounding boxes of the pixels > 0: (n, 4), x, y, width, height; zeros for blank images.

    Args:
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


CANDIDATES = 16
"""Placements of disjoint boxes proposed at once for each image; the first valid one is used."""
ROUNDS = 1000
"""Rounds of proposals after which an error is raised."""

Layers = NDArray[np.float32]
"""(B, M, S, S) in [0, 1]: the ink of each object in its own image; empty slots are black."""


def place_disjoint(
    extents: NDArray[np.int64], size: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Sample top left corners, uniform over all placements whose boxes lie in the image and are disjoint.

    Args:
        extents: (B, M, 2), width and height; zeros mark an empty slot, which gets the corner (0, 0).
        size: side of the image, pixels.
        generator: source of randomness.

    Returns:
        (B, M, 2). Whole placements are proposed and rejected, as moving only the object that overlaps would
        not be uniform.

    Raises:
        DataError: no valid placement was found.

    """
    corners = np.zeros_like(extents)
    waiting = np.arange(len(extents))
    for _ in range(ROUNDS):
        remaining = extents[waiting]
        proposed = _uniform_corners(remaining, size, generator, (CANDIDATES,))
        fits = _disjoint(proposed, remaining)
        corners[waiting] = proposed[fits.argmax(axis=0), np.arange(len(waiting))]
        waiting = waiting[~fits.any(axis=0)]
        if len(waiting) == 0:
            return corners
    raise _no_room(extents, size, "do not fit side by side")


def place_overlapping(
    inks: Sequence[Sequence[NDArray[np.uint8]]],
    extents: NDArray[np.int64],
    size: int,
    generator: np.random.Generator,
    allowed: Callable[[Layers], NDArray[np.bool_]],
) -> tuple[NDArray[np.int64], Layers]:
    """Sample top left corners, uniform over all allowed placements in the image, and render their layers.

    Args:
        inks: for each image, the ink of its objects.
        extents: (B, M, 2), width and height; zeros mark an empty slot.
        size: side of the image, pixels.
        generator: source of randomness.
        allowed: maps layers of B' images to a mask (B',) of the valid ones.

    Returns:
        corners (B, M, 2) and layers.

    Raises:
        DataError: no allowed placement was found.

    """
    corners = np.zeros_like(extents)
    layers = np.zeros((*extents.shape[:2], size, size), np.float32)
    waiting = np.arange(len(extents))
    for _ in range(ROUNDS):
        proposed = _uniform_corners(extents[waiting], size, generator, ())
        rendered = _render_layers(
            [inks[image] for image in waiting.tolist()], proposed, extents.shape[1], size
        )
        valid = allowed(rendered)
        corners[waiting[valid]], layers[waiting[valid]] = proposed[valid], rendered[valid]
        waiting = waiting[~valid]
        if len(waiting) == 0:
            return corners, layers
    raise _no_room(extents, size, "cannot be placed so that enough of each is visible")


def ink_adds_up(layers: Layers) -> NDArray[np.bool_]:
    """Whether the sum of all ink is at most 1 in every pixel: (B,)."""
    return layers.sum(axis=1).max(axis=(1, 2)) <= 1


def each_is_visible(layers: Layers, share: float) -> NDArray[np.bool_]:
    """Whether at least this share of each object's ink is not covered by other objects: (B,)."""
    fits = np.ones(len(layers), np.bool_)
    for slot in range(layers.shape[1]):
        others = np.delete(layers, slot, axis=1)
        alone = layers[:, slot] * np.prod(1 - others, axis=1)
        fits &= alone.sum(axis=(1, 2)) >= share * layers[:, slot].sum(axis=(1, 2))
    return fits


def _uniform_corners(
    extents: NDArray[np.int64], size: int, generator: np.random.Generator, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Uniform corners of boxes that lie in the image: (*shape, B, M, 2)."""
    room = np.where(extents > 0, size + 1 - extents, 1)
    return (generator.random((*shape, *extents.shape), np.float32) * room).astype(np.int64)


def _render_layers(
    inks: Sequence[Sequence[NDArray[np.uint8]]], corners: NDArray[np.int64], slots: int, size: int
) -> Layers:
    layers = np.zeros((len(inks), slots, size, size), np.float32)
    for image, objects in enumerate(inks):
        for slot, ink in enumerate(objects):
            x, y = corners[image, slot]
            layers[image, slot, y : y + ink.shape[0], x : x + ink.shape[1]] = ink
    return np.divide(layers, np.float32(255), out=layers)


def _disjoint(corners: NDArray[np.int64], extents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether no two boxes of an image overlap; empty slots overlap none.

    Args:
        corners: (K, B, M, 2).
        extents: (B, M, 2).

    Returns:
        (K, B).
    """
    far = corners + extents
    fits = np.ones(corners.shape[:2], np.bool_)
    for first in range(extents.shape[1]):
        for second in range(first + 1, extents.shape[1]):
            overlap = (corners[:, :, first] < far[:, :, second]) & (corners[:, :, second] < far[:, :, first])
            both = extents[:, first].all(axis=-1) & extents[:, second].all(axis=-1)
            fits &= ~(overlap.all(axis=-1) & both)
    return fits


def _no_room(extents: NDArray[np.int64], size: int, what: str) -> DataError:
    return DataError(
        f"{extents.shape[1]} objects {what} on {size}×{size} pixels: choose a larger size or fewer objects"
    )
