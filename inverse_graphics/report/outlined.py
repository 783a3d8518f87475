"""What was found in space, drawn over the image: outlines, names, and the reconstruction beside it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from inverse_graphics.formats import to_bytes
from inverse_graphics.parse import Parse, ParsedObject
from inverse_graphics.report.colours import step_colour
from inverse_graphics.report.drawn_scene import DrawnScene, draw_scene
from inverse_graphics.report.object_caption import object_caption
from inverse_graphics.scene.scene import Scene

FINE = 3
"""Lines are drawn so many times finer than small pictures and averaged, so that they are smooth."""
SHADE, INK = (16, 16, 16, 150), "#101010"

Corners = tuple[float, float, float, float]


def draw_outlined(picture: Image.Image, scale: float, parse: Parse, scene: Scene) -> Image.Image:
    """Outline each object of a parse over a picture, name it, and put the reconstruction beside it.

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
