"""Outlines and names of objects as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from inverse_graphics.parse import ParsedObject
from inverse_graphics.report.colours import step_colour
from inverse_graphics.report.drawn_scene import Polyline
from inverse_graphics.report.object_caption import short_name

SHADE = "#101010"


def outline_marks(
    outlines: Sequence[Sequence[Polyline]], objects: Sequence[ParsedObject], size: tuple[int, ...]
) -> str:
    """SVG elements over a picture: an outline for each object in its step's colour, and its name above it.

    outlines: see `DrawnScene`.  size: height and width of the picture, in the outlines' pixels.
    """
    line = max(size) / 170
    shade = "".join(_path(lines, SHADE, 2 * line) for lines in outlines)
    coloured = "".join(_path(lines, step_colour(step), line) for step, lines in enumerate(outlines))
    names = "".join(_name(found, step, 9 * line) for step, found in enumerate(objects))
    return f'<g stroke-linejoin="round">{shade}{coloured}{names}</g>'


def _path(lines: Sequence[Polyline], colour: str, width: float) -> str:
    if not lines:
        return ""
    data = "".join("M" + " ".join(f"{x:.1f} {y:.1f}" for x, y in points.tolist()) + "Z" for points in lines)
    return f'<path d="{data}" fill="none" stroke="{colour}" stroke-width="{width:.2f}"/>'


def _name(found: ParsedObject, step: int, tall: float) -> str:
    x, y, width, height = found.box_px
    above = y - 0.35 * tall
    baseline = above if above > tall else y + height + 1.1 * tall
    return (
        f'<text x="{x + width / 2:.1f}" y="{baseline:.1f}" font-size="{tall:.1f}" text-anchor="middle" '
        f'font-weight="600" fill="{step_colour(step)}" stroke="{SHADE}" stroke-width="{tall / 5:.1f}" '
        f'paint-order="stroke">{escape(short_name(found.identity or ""))}</text>'
    )
