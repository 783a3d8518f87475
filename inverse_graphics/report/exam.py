"""What a model is examined by: images like those it was trained on, with the truth, and quite other ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from inverse_graphics.data.foreign_images import Images
from inverse_graphics.parse import Parse

ForeignImages = Mapping[str, Callable[[int, np.random.Generator], Images | None]]
"""Kinds of foreign images; a kind gives None where this machine does not have its files."""


class Marks(NamedTuple):
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
    mark: Callable[[Sequence[Parse]], Marks]


class Exam(Protocol):
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
