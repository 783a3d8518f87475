"""Failures of inferred scenes, and a gallery of the worst: image, reconstruction, difference, and errors."""

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
"""Most rows, and how many stand side by side."""
SIDE = 128
"""The least side of a picture, pixels; small ones are enlarged by whole numbers."""
GAP, TEXT, HEAD, LINE, LETTERS = 6, 230, 64, 18, 36
INK, GREY, WRONG = (20, 20, 20), (110, 110, 110), (178, 34, 34)


@dataclass(frozen=True)
class GalleryRow:
    """One image.

    Attributes:
        image: (H, W, 3) in [0, 1].
        reconstruction: (H, W, 3) in [0, 1].
        title: the first line of text.
        notes: the lines below.
        failed: whether the title tells a failure.
    """

    image: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    title: str
    notes: tuple[str, ...]
    failed: bool


def draw_gallery(rows: Sequence[GalleryRow], title: str, subtitle: str) -> Image.Image:
    """Lay out rows under a title, down the first column and then down the second."""
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
    """Grey where both agree, brighter where the image is brighter: (H, W, 3) in [0, 1]."""
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
    for picture in (row.image, row.reconstruction, difference(row.image, row.reconstruction)):
        enlarged = Image.fromarray(to_bytes(picture)).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left, top))
        left += side + GAP
    bold, plain = ImageFont.load_default(14), ImageFont.load_default(13)
    draw.text((left + GAP, top + 2), f"{place}. {row.title}", WRONG if row.failed else INK, bold)
    lines = [line for note in row.notes for line in wrap(note, LETTERS)]
    for number, line in enumerate(lines[: side // LINE - 1], start=1):
        draw.text((left + GAP, top + 4 + number * LINE), line, GREY, plain)


class Kind(IntEnum):
    """How bad a failure is: the lower, the worse."""

    COUNT = 0
    IDENTITY = 1
    NONE = 2


TITLES = {Kind.COUNT: "wrong count", Kind.IDENTITY: "wrong object", Kind.NONE: "count and kinds right"}


@dataclass(frozen=True)
class Failures:
    """The failures of B images.

    Attributes:
        kind: (B,) `Kind`.
        severity: (B,), how far off within the kind: objects too many or too few, true objects missed or
            misnamed, or metres of the worst position.
    """

    predicted: PredictedScenes
    truth: PredictedScenes
    names: tuple[str, ...]
    slots: Tensor
    errors: ObjectErrors
    kind: Tensor
    severity: Tensor

    @classmethod
    def judge(
        cls,
        predicted: PredictedScenes,
        truth: PredictedScenes,
        symmetries: Sequence[Symmetry],
        names: Sequence[str],
        match_distance_m: float,
    ) -> Failures:
        """Compare scenes image by image, objects matched within some distance as the metrics do it.

        Args:
            names: of the kinds that `asset` counts.
        """
        errors, image, slots = ObjectErrors.match(predicted, truth, match_distance_m, symmetries)
        miscounted = (predicted.count - truth.count).abs().double()
        unnamed = torch.zeros_like(miscounted).index_add(0, image, (~errors.identified).double())
        distance = torch.where(errors.found, errors.distance, 0.0).double()
        furthest = torch.zeros_like(miscounted).scatter_reduce(0, image, distance, "amax")
        wrong_count, wrong_kind = miscounted > 0, unnamed > 0
        kind = torch.where(
            wrong_count, Kind.COUNT.value, torch.where(wrong_kind, Kind.IDENTITY.value, Kind.NONE.value)
        )
        severity = torch.where(wrong_count, miscounted, torch.where(wrong_kind, unnamed, furthest))
        return cls(predicted, truth, tuple(names), slots, errors, kind, severity)

    def worst_first(self, log_likelihood: Tensor) -> list[int]:
        """The images, the worst first, and of equally bad ones the least likely.

        Args:
            log_likelihood: (B,).
        """
        keys = zip(self.kind.tolist(), (-self.severity).tolist(), log_likelihood.tolist(), strict=True)
        return [index for _, index in sorted((key, index) for index, key in enumerate(keys))]

    def counts(self) -> dict[Kind, int]:
        """How many images have which failure."""
        return {kind: int((self.kind == kind).sum()) for kind in Kind}

    def there(self, image: int) -> str:
        """The true objects of an image: `glass, 2x mug`."""
        return _listed(self._called(k) for k in self.truth.asset[image].tolist() if k >= 0)

    def title(self, image: int) -> str:
        """The verdict in a few words."""
        count, seen = int(self.truth.count[image]), int(self.predicted.count[image])
        return f"{seen} seen, {count} there" if count != seen else TITLES[Kind(int(self.kind[image]))]

    def notes(self, image: int) -> list[str]:
        """What an image's scene misses, misnames and invents, and how far off the rest is."""
        told = {
            "missed": self._missed(image),
            "misnamed": self._misnamed(image),
            "invented": self._invented(image),
        }
        notes = [f"{what}: {_listed(names)}" for what, names in told.items() if names]
        return [*notes, *self._off(image)]

    def _missed(self, image: int) -> list[str]:
        pairs = zip(self.truth.asset[image].tolist(), self.slots[image].tolist(), strict=True)
        return [self._called(k) for k, slot in pairs if k >= 0 and slot < 0]

    def _misnamed(self, image: int) -> list[str]:
        pairs = zip(self.truth.asset[image].tolist(), self.slots[image].tolist(), strict=True)
        named = [(k, int(self.predicted.asset[image, slot])) for k, slot in pairs if k >= 0 and slot >= 0]
        return [f"{self._called(k)} as {self._called(taken)}" for k, taken in named if k != taken]

    def _invented(self, image: int) -> list[str]:
        real, seen = set(self.slots[image].tolist()), enumerate(self.predicted.asset[image].tolist())
        return [self._called(k) for slot, k in seen if k >= 0 and slot not in real]

    def _off(self, image: int) -> list[str]:
        """How far off the worst object found is, and by how much the worst named right is turned."""
        own = (self.truth.asset >= 0).nonzero()[:, 0] == image
        found, named = own & self.errors.found, own & self.errors.identified
        far = f"{1000 * float(self.errors.distance[found].max()):.0f} mm off" if found.any() else ""
        degrees = float(self.errors.angle[named].max()) if named.any() else 0.0
        told = ", ".join(filter(None, [far, f"turned by {degrees:.0f}°" if degrees >= 1 else ""]))
        return [told] if told else []

    def _called(self, kind: int) -> str:
        return self.names[kind].rpartition("/")[2]


def _listed(names: Iterable[str]) -> str:
    counts = sorted(Counter(names).items())
    return ", ".join(f"{n}x {name}" if n > 1 else name for name, n in counts) or "nothing"
