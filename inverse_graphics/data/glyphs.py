"""Glyphs: small labelled pictures, white on black, of which images of several objects are made."""

from __future__ import annotations

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
