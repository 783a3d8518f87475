"""What was found drawn over the image, boxes in 2D and outlines in 3D; and many such pictures as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inverse_graphics.formats import to_bytes
from inverse_graphics.parse import Parse
from inverse_graphics.report.colours import step_colour
from inverse_graphics.report.outlined import draw_outlined

SMALLEST_SIDE = 384
"""Pixels; smaller images are enlarged by a whole factor, so that lines and numbers have room."""
CELL, GAP, CAPTION = 256, 16, 26
WIDE, WIDEST = 1.6, 2.1
"""Cells are square unless a picture is as wide as this over its height, as pairs are, and then at most so."""


def draw_parse(image: NDArray[np.float32], parse: Parse) -> Image.Image:
    """Draw what `parse` says over `image`.

    In 2D a box for each object, with the number of the step that found it; in 3D the outline and name of each
    object, and the reconstruction beside it.
    image: (H, W, 3) in [0, 1], as it was given to the parser; small ones come back enlarged.
    """
    factor = math.ceil(SMALLEST_SIDE / max(image.shape[:2]))
    picture = Image.fromarray(to_bytes(image))
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    if parse.scene is not None:
        return draw_outlined(picture, factor, parse, parse.scene)
    _draw_boxes(picture, parse, factor)
    return picture


def _draw_boxes(picture: Image.Image, parse: Parse, factor: int) -> None:
    draw = ImageDraw.Draw(picture)
    line = max(2, round(max(picture.size) / 250))
    for step, found in enumerate(parse.objects):
        left, top, width, height = (side * factor for side in found.box_px)
        corners = (left, top, max(left + width, left + 1), max(top + height, top + 1))
        draw.rectangle(corners, outline=step_colour(step), width=line)
        _draw_number(draw, step, (left, top), line)


def contact_sheet(pictures: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Lay captioned pictures out on one sheet, row by row, as square as it gets."""
    widest = max(picture.width / picture.height for _, picture in pictures)
    cell = CELL if widest < WIDE else round(CELL * min(widest, WIDEST))
    columns = math.ceil(math.sqrt(len(pictures) * CELL / cell))
    rows = math.ceil(len(pictures) / columns)
    size = (GAP + columns * (cell + GAP), GAP + rows * (CELL + CAPTION + GAP))
    sheet = Image.new("RGB", size, "#f6f6f4")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, (caption, picture) in enumerate(pictures):
        x = GAP + index % columns * (cell + GAP)
        y = GAP + index // columns * (CELL + CAPTION + GAP)
        small = _fitted(picture, cell)
        sheet.paste(small, (x + (cell - small.width) // 2, y + (CELL - small.height) // 2))
        draw.text((x, y + CELL + 6), _shortened(caption, font, cell), fill="#333333", font=font)
    return sheet


def _draw_number(draw: ImageDraw.ImageDraw, step: int, corner: tuple[float, float], line: int) -> None:
    """Put a badge inside the picture at a box's top left corner."""
    height = 8 * line
    font = ImageFont.load_default(6 * line)
    text = str(step + 1)
    width = draw.textlength(text, font=font) + 3 * line
    x, y = max(corner[0], 0), max(corner[1] - height, 0)
    draw.rectangle((x, y, x + width, y + height), fill=step_colour(step))
    draw.text((x + width / 2, y + height / 2), text, fill="#101010", font=font, anchor="mm")


def _fitted(picture: Image.Image, cell: int) -> Image.Image:
    scale = min(cell / picture.width, CELL / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Cut the front of a caption, since names of files differ at their end."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text
