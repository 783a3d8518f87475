"""A gallery: images beside what was seen in them and the difference, with what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inverse_graphics.formats import to_bytes

ROWS, COLUMNS = 24, 2
"""Most rows, and how many stand side by side."""
SIDE = 128
"""The least side of a picture, pixels; small ones are enlarged by whole numbers."""
GAP, TEXT, HEAD, LINE, LETTERS = 6, 230, 64, 18, 36
INK, GREY, WRONG = (20, 20, 20), (110, 110, 110), (178, 34, 34)


@dataclass(frozen=True)
class GalleryRow:
    """One image.

    image, reconstruction: (H, W, 3) in [0, 1].  title: the first line of text.  notes: the lines below.
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
