"""Overlays: inferred objects drawn over the image, as boxes in 2D and as outlines in 3D; and contact sheets.

Overlays are written to one file per image, or together as a contact sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inverse_graphics.errors import ImageError
from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.interchange.writers import WRITERS, Write
from inverse_graphics.io.files import FileNames
from inverse_graphics.io.images import FORMATS, read_image, save, to_bytes
from inverse_graphics.scene.scene import Scene
from inverse_graphics.visualisation.scene_outlines import DrawnScene, draw_scene
from inverse_graphics.visualisation.svg import object_caption, step_colour

FINE = 3
"""Supersampling factor of lines on small images (antialiasing)."""
SHADE, INK = (16, 16, 16, 150), "#101010"

Corners = tuple[float, float, float, float]


def draw_outlined(drawing: Image.Image, scale: float, parse: Parse, scene: Scene) -> Image.Image:
    """Draw outlines and names of a parse's objects over an image, with the reconstruction beside it.

    Args:
        drawing: the image, enlarged.
        scale: factor by which `drawing` is larger than the parser's input.
        parse: the inferred objects.
        scene: the inferred scene.
    """
    drawn = draw_scene(scene, *drawing.size)
    line = max(1.0, max(drawing.size) / 320)
    outlined = _with_outlines(drawing, drawn, line)
    _label(outlined, parse.objects, scale, line)
    reconstruction = Image.fromarray(to_bytes(drawn.image)).resize(drawing.size, Image.Resampling.BICUBIC)
    return _side_by_side(outlined, reconstruction, round(6 * line))


def _with_outlines(drawing: Image.Image, drawn: DrawnScene, line: float) -> Image.Image:
    fine = FINE if max(drawing.size) <= 1024 else 1
    over = Image.new("RGBA", (drawing.width * fine, drawing.height * fine))
    draw = ImageDraw.Draw(over)
    for wide, colour in (
        (3.0, lambda _: SHADE),
        (1.5, step_colour),
    ):  # a dark border, so that lines are visible on any background
        for step, outlines in enumerate(drawn.outlines):
            for points in outlines:
                corners = [tuple(point) for point in (points * fine).tolist()]
                draw.line(corners, fill=colour(step), width=max(1, round(wide * line * fine)), joint="curve")
    over = over.resize(drawing.size, Image.Resampling.BOX)
    return Image.alpha_composite(drawing.convert("RGBA"), over).convert("RGB")


def _label(drawing: Image.Image, objects: Sequence[ParsedObject], scale: float, line: float) -> None:
    """Write each object's name above it, or nearby where there is space."""
    draw, font = ImageDraw.Draw(drawing), ImageFont.load_default(max(10.0, 10 * line))
    taken: list[Corners] = []
    for step, found in enumerate(objects):
        text = object_caption(found)
        size = (draw.textlength(text, font=font) + 6 * line, 13 * line)
        corners = _room(tuple(side * scale for side in found.box_px), size, drawing.size, taken, line)
        taken.append(corners)
        draw.rounded_rectangle(corners, radius=2 * line, fill=step_colour(step))
        middle = ((corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2)
        draw.text(middle, text, fill=INK, font=font, anchor="mm")


def _room(
    box: Sequence[float],
    size: tuple[float, float],
    drawing: tuple[int, int],
    taken: Sequence[Corners],
    gap: float,
) -> Corners:
    """Find the position of a label: above its box, below it, or farther away, without overlap if possible."""
    x, y, width, height = box
    left = min(max(x + width / 2 - size[0] / 2, 0.0), max(drawing[0] - size[0], 0.0))
    pitch = size[1] + gap
    above = [y - pitch - 2 * gap - step * pitch for step in range(4)]
    below = [y + height + 3 * gap + step * pitch for step in range(4)]
    places = [top for pair in zip(above, below, strict=True) for top in pair]
    fitting = [top for top in places if 0 <= top <= drawing[1] - size[1]] or [0.0]
    corners = [(left, top, left + size[0], top + size[1]) for top in fitting]
    return next((one for one in corners if not any(_meet(one, other) for other in taken)), corners[0])


def _meet(one: Corners, other: Corners) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _side_by_side(left: Image.Image, right: Image.Image, gap: int) -> Image.Image:
    both = Image.new("RGB", (left.width + gap + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + gap, 0))
    return both


SMALLEST_SIDE = 384
"""Pixels; smaller images are enlarged by an integer factor, so that lines and numbers are readable."""
CELL, GAP, CAPTION = 256, 16, 26
WIDE, WIDEST = 1.6, 2.1
"""Aspect ratio from which cells of a contact sheet are wide instead of square, and their largest one."""


def draw_parse(image: NDArray[np.float32], parse: Parse) -> Image.Image:
    """Draw the inferred objects over an image.

    2D: a box per object, with the number of its step. 3D: outline and name of each object, and the
    reconstruction beside the image.

    Args:
        image: (H, W, 3) in [0, 1], the parser's input.
        parse: the inferred objects.

    Returns:
        The overlay; small images are enlarged by an integer factor.
    """
    factor = math.ceil(SMALLEST_SIDE / max(image.shape[:2]))
    drawing = Image.fromarray(to_bytes(image))
    drawing = drawing.resize((drawing.width * factor, drawing.height * factor), Image.Resampling.NEAREST)
    if parse.scene is not None:
        return draw_outlined(drawing, factor, parse, parse.scene)
    _draw_boxes(drawing, parse, factor)
    return drawing


def _draw_boxes(drawing: Image.Image, parse: Parse, factor: int) -> None:
    draw = ImageDraw.Draw(drawing)
    line = max(2, round(max(drawing.size) / 250))
    for step, found in enumerate(parse.objects):
        left, top, width, height = (side * factor for side in found.box_px)
        corners = (left, top, max(left + width, left + 1), max(top + height, top + 1))
        draw.rectangle(corners, outline=step_colour(step), width=line)
        _draw_number(draw, step, (left, top), line)


def contact_sheet(drawings: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Arrange captioned images in a grid that is as square as possible."""
    widest = max(drawing.width / drawing.height for _, drawing in drawings)
    cell = CELL if widest < WIDE else round(CELL * min(widest, WIDEST))
    columns = math.ceil(math.sqrt(len(drawings) * CELL / cell))
    rows = math.ceil(len(drawings) / columns)
    size = (GAP + columns * (cell + GAP), GAP + rows * (CELL + CAPTION + GAP))
    sheet = Image.new("RGB", size, "#f6f6f4")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, (caption, drawing) in enumerate(drawings):
        x = GAP + index % columns * (cell + GAP)
        y = GAP + index // columns * (CELL + CAPTION + GAP)
        small = _fitted(drawing, cell)
        sheet.paste(small, (x + (cell - small.width) // 2, y + (CELL - small.height) // 2))
        draw.text((x, y + CELL + 6), _shortened(caption, font, cell), fill="#333333", font=font)
    return sheet


def _draw_number(draw: ImageDraw.ImageDraw, step: int, corner: tuple[float, float], line: int) -> None:
    """Draw a badge with the step's number at a box's top left corner."""
    height = 8 * line
    font = ImageFont.load_default(6 * line)
    text = str(step + 1)
    width = draw.textlength(text, font=font) + 3 * line
    x, y = max(corner[0], 0), max(corner[1] - height, 0)
    draw.rectangle((x, y, x + width, y + height), fill=step_colour(step))
    draw.text((x + width / 2, y + height / 2), text, fill="#101010", font=font, anchor="mm")


def _fitted(drawing: Image.Image, cell: int) -> Image.Image:
    scale = min(cell / drawing.width, CELL / drawing.height)
    size = (max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale)))
    return drawing.resize(size, Image.Resampling.LANCZOS)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Truncate a caption at its start, since file names differ at their end."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("…" + text) > width:
        text = text[1:]
    return "…" + text


LARGEST_SHEET = 100
"""Largest number of images on one contact sheet."""


@WRITERS.register("overlay")
@contextmanager
def overlay_writer(target: Path, count: int) -> Iterator[Write]:
    """Open a writer that draws each parse over its image.

    Args:
        target: an image file (the overlay of a single image, or a contact sheet of several, written at the
            end of the block), or a folder for one PNG per image, created if missing.
        count: upper bound on the number of images.

    Raises:
        ImageError: too many images for one contact sheet.
        StorageError: the folder or a file cannot be written.

    """
    if target.is_dir() or target.suffix.lower() not in FORMATS:
        names = FileNames(target, ".png")
        yield lambda parse: save(names.path_for(parse.image), _drawn(parse))
        return
    if count > LARGEST_SHEET:
        raise ImageError(
            f"{count} overlays do not fit into {target}: expected at most {LARGEST_SHEET}; name a folder"
        )
    drawings: list[tuple[str, Image.Image]] = []
    yield lambda parse: drawings.append((parse.image, _drawn(parse)))
    if drawings:
        save(target, drawings[0][1] if count == 1 else contact_sheet(drawings))


def _drawn(parse: Parse) -> Image.Image:
    """Draw the overlay of a parse, whose image is read again if the parse does not hold it."""
    return draw_parse(read_image(parse.image) if parse.pixels is None else parse.pixels, parse)
