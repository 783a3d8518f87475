"""What was found drawn over the image, boxes in 2D and outlines in 3D; and many such pictures as one.

Overlays of one or many images, written to one file or into a folder.

What was found in space, drawn over the image: outlines, names, and the reconstruction beside it.
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
from inverse_graphics.visualisation.scene_picture import DrawnScene, draw_scene
from inverse_graphics.visualisation.svg import object_caption, step_colour

FINE = 3
"""Lines are drawn so many times finer than small pictures and averaged, so that they are smooth."""
SHADE, INK = (16, 16, 16, 150), "#101010"

Corners = tuple[float, float, float, float]


def draw_outlined(picture: Image.Image, scale: float, parse: Parse, scene: Scene) -> Image.Image:
    """Outline each object of a parse over a picture, name it, and put the reconstruction beside it.

    Args:
        picture: the image, `scale` times as large as it was given to the parser.
    """
    drawn = draw_scene(scene, *picture.size)
    line = max(1.0, max(picture.size) / 320)
    outlined = _with_outlines(picture, drawn, line)
    _label(outlined, parse.objects, scale, line)
    reconstruction = Image.fromarray(to_bytes(drawn.picture)).resize(picture.size, Image.Resampling.BICUBIC)
    return _side_by_side(outlined, reconstruction, round(6 * line))


def _with_outlines(picture: Image.Image, drawn: DrawnScene, line: float) -> Image.Image:
    fine = FINE if max(picture.size) <= 1024 else 1
    over = Image.new("RGBA", (picture.width * fine, picture.height * fine))
    draw = ImageDraw.Draw(over)
    for wide, colour in ((3.0, lambda _: SHADE), (1.5, step_colour)):  # a shade, that lines show on anything
        for step, outlines in enumerate(drawn.outlines):
            for points in outlines:
                corners = [tuple(point) for point in (points * fine).tolist()]
                draw.line(corners, fill=colour(step), width=max(1, round(wide * line * fine)), joint="curve")
    over = over.resize(picture.size, Image.Resampling.BOX)
    return Image.alpha_composite(picture.convert("RGBA"), over).convert("RGB")


def _label(picture: Image.Image, objects: Sequence[ParsedObject], scale: float, line: float) -> None:
    """Write each object's name above it, or wherever else near it is room."""
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(max(10.0, 10 * line))
    taken: list[Corners] = []
    for step, found in enumerate(objects):
        text = object_caption(found)
        size = (draw.textlength(text, font=font) + 6 * line, 13 * line)
        corners = _room(tuple(side * scale for side in found.box_px), size, picture.size, taken, line)
        taken.append(corners)
        draw.rounded_rectangle(corners, radius=2 * line, fill=step_colour(step))
        middle = ((corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2)
        draw.text(middle, text, fill=INK, font=font, anchor="mm")


def _room(
    box: Sequence[float],
    size: tuple[float, float],
    picture: tuple[int, int],
    taken: Sequence[Corners],
    gap: float,
) -> Corners:
    """Where a label fits: above its box, below it, or farther off, clear of other labels if it can be."""
    x, y, width, height = box
    left = min(max(x + width / 2 - size[0] / 2, 0.0), max(picture[0] - size[0], 0.0))
    pitch = size[1] + gap
    above = [y - pitch - 2 * gap - step * pitch for step in range(4)]
    below = [y + height + 3 * gap + step * pitch for step in range(4)]
    places = [top for pair in zip(above, below, strict=True) for top in pair]
    fitting = [top for top in places if 0 <= top <= picture[1] - size[1]] or [0.0]
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
"""Pixels; smaller images are enlarged by a whole factor, so that lines and numbers have room."""
CELL, GAP, CAPTION = 256, 16, 26
WIDE, WIDEST = 1.6, 2.1
"""Cells are square unless a picture is as wide as this over its height, as pairs are, and then at most so."""


def draw_parse(image: NDArray[np.float32], parse: Parse) -> Image.Image:
    """Draw what `parse` says over `image`.

    In 2D a box for each object, with the number of the step that found it; in 3D the outline and name of each
    object, and the reconstruction beside it.

    Args:
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


LARGEST_SHEET = 100
"""The most pictures that go on one contact sheet."""


@WRITERS.register("overlay")
@contextmanager
def overlay_writer(target: Path, count: int) -> Iterator[Write]:
    """Give a function that takes one parse after another and draws it over its image.

    Args:
        target: with the suffix of an image, one file: of one image its overlay, of several a contact sheet,
            written when the block has ended well. Else a folder, made if need be, with a PNG for each image.
        count: how many images will come at most.

    Raises:
        ImageError: too many images for one sheet.
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
    pictures: list[tuple[str, Image.Image]] = []
    yield lambda parse: pictures.append((parse.image, _drawn(parse)))
    if pictures:
        save(target, pictures[0][1] if count == 1 else contact_sheet(pictures))


def _drawn(parse: Parse) -> Image.Image:
    """Read the image anew, since of thousands not all can be kept."""
    return draw_parse(read_image(parse.image), parse)
