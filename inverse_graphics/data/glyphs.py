"""Glyphs: small labelled pictures, white on black, of which images of several objects are made.

Where objects are put on a canvas: whole placements are proposed and rejected, so that all are alike.
"""

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
    """Labelled glyphs.  images: (n, height, width) uint8, ink 255 on 0.  labels: (n,) int64, at least 0."""

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
        """(n, 4), the glyphs' tight boxes within their own images."""
        return tight_boxes(self.images)

    def divided(self, last: int) -> tuple[Glyphs, Glyphs]:
        """All but the `last` glyphs, and the `last` ones."""
        first = len(self) - last
        return Glyphs(self.images[:first], self.labels[:first]), Glyphs(
            self.images[first:], self.labels[first:]
        )

    def ink(self, index: int, width: int, height: int) -> NDArray[np.uint8]:
        """What lies in a glyph's tight box, resampled to (height, width) where that is another size."""
        x, y, w, h = self.tight[index].tolist()
        cut = self.images[index, y : y + h, x : x + w]
        if (w, h) == (width, height):
            return cut
        return np.asarray(Image.fromarray(cut).resize((width, height), Image.Resampling.BILINEAR))


class Split(NamedTuple):
    """Glyphs for training, for calibrating the outlier detector, and for testing."""

    train: Glyphs
    calibration: Glyphs
    test: Glyphs


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


CANDIDATES = 16
"""Placements of disjoint boxes proposed at once for each image; the first that fits is taken."""
ROUNDS = 1000
"""Rounds of proposals after which objects are said not to fit on the canvas."""

Layers = NDArray[np.float32]
"""(B, M, S, S) in [0, 1]: the ink of each object on its canvas; empty slots are black."""


def place_disjoint(
    extents: NDArray[np.int64], size: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Top left corners, uniform over all placements whose boxes lie on the canvas and are disjoint.

    extents: (B, M, 2), width and height; zeros mark an empty slot, which gets the corner (0, 0). Whole
    placements are proposed and rejected, since moving only the object that collides would not be uniform.

    Raises:
        DataError: none was found.
    """
    corners = np.zeros_like(extents)
    waiting = np.arange(len(extents))
    for _ in range(ROUNDS):
        wanted = extents[waiting]
        proposed = _anywhere(wanted, size, generator, (CANDIDATES,))
        fits = _disjoint(proposed, wanted)
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
    """Top left corners, uniform over all placements on the canvas that are allowed; and what they draw.

    inks: for each image, the ink of its objects.  extents: (B, M, 2), width and height; zeros mark an empty
    slot.  allowed: which images (B',) of these layers may stand.

    Raises:
        DataError: no placement was found that is allowed.
    """
    corners = np.zeros_like(extents)
    layers = np.zeros((*extents.shape[:2], size, size), np.float32)
    waiting = np.arange(len(extents))
    for _ in range(ROUNDS):
        proposed = _anywhere(extents[waiting], size, generator, ())
        drawn = _drawn([inks[image] for image in waiting.tolist()], proposed, extents.shape[1], size)
        stands = allowed(drawn)
        corners[waiting[stands]], layers[waiting[stands]] = proposed[stands], drawn[stands]
        waiting = waiting[~stands]
        if len(waiting) == 0:
            return corners, layers
    raise _no_room(extents, size, "do not find places where enough of each is seen")


def ink_adds_up(layers: Layers) -> NDArray[np.bool_]:
    """Whether the sum of all ink is nowhere brighter than white: (B,)."""
    return layers.sum(axis=1).max(axis=(1, 2)) <= 1


def each_is_seen(layers: Layers, share: float) -> NDArray[np.bool_]:
    """Whether of each object at least this share of its ink lies where no other object is: (B,)."""
    fits = np.ones(len(layers), np.bool_)
    for slot in range(layers.shape[1]):
        others = np.delete(layers, slot, axis=1)
        alone = layers[:, slot] * np.prod(1 - others, axis=1)
        fits &= alone.sum(axis=(1, 2)) >= share * layers[:, slot].sum(axis=(1, 2))
    return fits


def _anywhere(
    extents: NDArray[np.int64], size: int, generator: np.random.Generator, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Corners at which boxes lie on the canvas: (*shape, B, M, 2)."""
    room = np.where(extents > 0, size + 1 - extents, 1)
    return (generator.random((*shape, *extents.shape), np.float32) * room).astype(np.int64)


def _drawn(
    inks: Sequence[Sequence[NDArray[np.uint8]]], corners: NDArray[np.int64], slots: int, size: int
) -> Layers:
    layers = np.zeros((len(inks), slots, size, size), np.float32)
    for image, objects in enumerate(inks):
        for slot, ink in enumerate(objects):
            x, y = corners[image, slot]
            layers[image, slot, y : y + ink.shape[0], x : x + ink.shape[1]] = ink
    return np.divide(layers, np.float32(255), out=layers)


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


def _no_room(extents: NDArray[np.int64], size: int, what: str) -> DataError:
    return DataError(
        f"{extents.shape[1]} objects {what} on {size}×{size} pixels: choose a larger size or fewer objects"
    )
