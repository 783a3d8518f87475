"""Failures of inferred scenes, and a gallery of the worst ones with reconstructions and errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from textwrap import wrap

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from inverse_graphics.io.images import to_bytes
from inverse_graphics.metrics.object_errors import ObjectErrors
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.packs.symmetry import Symmetry

ROWS, COLUMNS = 24, 2
"""Largest number of images, and number of columns."""
SIDE = 128
"""Smallest side of a displayed image, pixels; smaller images are enlarged by an integer factor."""
GAP, TEXT, HEAD, LINE, LETTERS = 6, 230, 64, 18, 36
INK, GREY, WRONG = (20, 20, 20), (110, 110, 110), (178, 34, 34)


@dataclass(frozen=True)
class GalleryRow:
    """One image of a gallery.

    Attributes:
        image: (H, W, 3) in [0, 1].
        reconstruction: (H, W, 3) in [0, 1].
        title: the first line of text.
        notes: the other lines.
        failed: whether the title is highlighted as a failure.
    """

    image: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    title: str
    notes: tuple[str, ...]
    failed: bool


def draw_gallery(rows: Sequence[GalleryRow], title: str, subtitle: str) -> Image.Image:
    """Draw rows below a title, column by column."""
    rows = rows[:ROWS]
    side = _side(rows[0].image.shape[0]) if rows else SIDE
    columns = COLUMNS if len(rows) > 1 else 1
    deep = -(-len(rows) // columns)
    wide, tall = 3 * (side + GAP) + TEXT + 2 * GAP, side + GAP
    sheet = Image.new("RGB", (columns * wide + GAP, HEAD + max(deep, 1) * tall + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 8), title, INK, ImageFont.load_default(19))
    draw.text((GAP, 36), subtitle, GREY, ImageFont.load_default(13))
    for index, row in enumerate(rows):
        column, down = divmod(index, deep)
        _draw_row(sheet, draw, (GAP + column * wide, HEAD + down * tall), side, row, index + 1)
    return sheet


def difference(image: NDArray[np.float32], reconstruction: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed difference as an image (H, W, 3) in [0, 1]: grey for zero, bright for a brighter image."""
    return np.clip(0.5 + image - reconstruction, 0, 1).astype(np.float32)


def _side(size: int) -> int:
    return size * max(1, -(-SIDE // size))


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    side: int,
    row: GalleryRow,
    place: int,
) -> None:
    left, top = corner
    for panel in (row.image, row.reconstruction, difference(row.image, row.reconstruction)):
        enlarged = Image.fromarray(to_bytes(panel)).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left, top))
        left += side + GAP
    bold, plain = ImageFont.load_default(14), ImageFont.load_default(13)
    draw.text((left + GAP, top + 2), f"{place}. {row.title}", WRONG if row.failed else INK, bold)
    lines = [line for note in row.notes for line in wrap(note, LETTERS)]
    for number, line in enumerate(lines[: side // LINE - 1], start=1):
        draw.text((left + GAP, top + 4 + number * LINE), line, GREY, plain)


class Failure(IntEnum):
    """Types of failure, the worst first."""

    COUNT = 0
    IDENTITY = 1
    NONE = 2


TITLES = {
    Failure.COUNT: "wrong count",
    Failure.IDENTITY: "wrong kind",
    Failure.NONE: "correct count and kinds",
}


@dataclass(frozen=True)
class Failures:
    """The failures of B images.

    Attributes:
        predicted: the inferred scenes.
        truth: the true scenes.
        names: names of the kinds.
        slots: (B, N), the slot of the inferred object matched with each true one.
        errors: errors of the matched objects.
        kind: (B,) `Failure`.
        severity: (B,), error within the type of failure: error of the count, number of true objects that are
            missed or of the wrong kind, or largest position error in metres.
    """

    predicted: PredictedScenes
    truth: PredictedScenes
    names: tuple[str, ...]
    slots: Tensor
    errors: ObjectErrors
    kind: Tensor
    severity: Tensor

    @classmethod
    def from_scenes(
        cls,
        predicted: PredictedScenes,
        truth: PredictedScenes,
        symmetries: Sequence[Symmetry],
        names: Sequence[str],
        match_distance_m: float,
    ) -> Failures:
        """Compare inferred with true scenes, image by image.

        Args:
            predicted: B inferred scenes.
            truth: B true scenes.
            symmetries: symmetry of each kind, indexed by `asset`.
            names: name of each kind.
            match_distance_m: largest distance of matched objects, metres.
        """
        errors, image, slots = ObjectErrors.match(predicted, truth, match_distance_m, symmetries)
        miscounted = (predicted.count - truth.count).abs().double()
        unidentified = torch.zeros_like(miscounted).index_add(0, image, (~errors.identified).double())
        distance = torch.where(errors.found, errors.distance, 0.0).double()
        furthest = torch.zeros_like(miscounted).scatter_reduce(0, image, distance, "amax")
        wrong_count, wrong_kind = miscounted > 0, unidentified > 0
        kind = torch.where(
            wrong_count,
            Failure.COUNT.value,
            torch.where(wrong_kind, Failure.IDENTITY.value, Failure.NONE.value),
        )
        severity = torch.where(wrong_count, miscounted, torch.where(wrong_kind, unidentified, furthest))
        return cls(predicted, truth, tuple(names), slots, errors, kind, severity)

    def worst_first(self, log_likelihood: Tensor) -> list[int]:
        """Sort images by failure, the worst first; ties by increasing log-likelihood.

        Args:
            log_likelihood: (B,).
        """
        keys = zip(self.kind.tolist(), (-self.severity).tolist(), log_likelihood.tolist(), strict=True)
        return [index for _, index in sorted((key, index) for index, key in enumerate(keys))]

    def counts(self) -> dict[Failure, int]:
        """The number of images with each type of failure."""
        return {failure: int((self.kind == failure).sum()) for failure in Failure}

    def true_objects(self, image: int) -> str:
        """The true objects of an image, such as `glass, 2x mug`."""
        return _listed(self._name(k) for k in self.truth.asset[image].tolist() if k >= 0)

    def title(self, image: int) -> str:
        """The type of failure as text."""
        count, inferred = int(self.truth.count[image]), int(self.predicted.count[image])
        if count != inferred:
            return f"{inferred} inferred, {count} true"
        return TITLES[Failure(int(self.kind[image]))]

    def notes(self, image: int) -> list[str]:
        """Lines on an image's missed, wrongly classified and spurious objects, and on its pose errors."""
        mistakes = {
            "missed": self._missed(image),
            "wrong kind": self._misclassified(image),
            "spurious": self._spurious(image),
        }
        notes = [f"{label}: {_listed(names)}" for label, names in mistakes.items() if names]
        return [*notes, *self._pose_errors(image)]

    def _missed(self, image: int) -> list[str]:
        pairs = zip(self.truth.asset[image].tolist(), self.slots[image].tolist(), strict=True)
        return [self._name(k) for k, slot in pairs if k >= 0 and slot < 0]

    def _misclassified(self, image: int) -> list[str]:
        pairs = zip(self.truth.asset[image].tolist(), self.slots[image].tolist(), strict=True)
        named = [(k, int(self.predicted.asset[image, slot])) for k, slot in pairs if k >= 0 and slot >= 0]
        return [f"{self._name(k)} as {self._name(taken)}" for k, taken in named if k != taken]

    def _spurious(self, image: int) -> list[str]:
        matched, inferred = set(self.slots[image].tolist()), enumerate(self.predicted.asset[image].tolist())
        return [self._name(k) for slot, k in inferred if k >= 0 and slot not in matched]

    def _pose_errors(self, image: int) -> list[str]:
        """The largest position error of matched objects, and rotation error of correctly classified ones."""
        own = (self.truth.asset >= 0).nonzero()[:, 0] == image
        found, named = own & self.errors.found, own & self.errors.identified
        distance = f"{1000 * float(self.errors.distance[found].max()):.0f} mm off" if found.any() else ""
        degrees = float(self.errors.angle[named].max()) if named.any() else 0.0
        note = ", ".join(filter(None, [distance, f"rotated by {degrees:.0f}°" if degrees >= 1 else ""]))
        return [note] if note else []

    def _name(self, kind: int) -> str:
        return self.names[kind].rpartition("/")[2]


def _listed(names: Iterable[str]) -> str:
    counts = sorted(Counter(names).items())
    return ", ".join(f"{n}x {name}" if n > 1 else name for name, n in counts) or "nothing"
