"""SVG and HTML elements: images with boxes or outlines, bar charts of count probabilities, colour maps."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.inference.parse import Box, ParsedObject
from inverse_graphics.io.images import to_bytes
from inverse_graphics.visualisation.scene_outlines import Polyline

WIDTH, HEIGHT = 190.0, 58.0
ABOVE, BELOW = 14.0, 20.0


def count_chart(probabilities: Sequence[float], chosen: int) -> str:
    """Draw a bar chart of the probabilities of counts 0, 1, …, with the chosen count highlighted."""
    pitch = WIDTH / len(probabilities)
    bars = "".join(_bar(count, value, pitch, count == chosen) for count, value in enumerate(probabilities))
    floor = ABOVE + HEIGHT + 0.5
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {ABOVE + HEIGHT + BELOW:.0f}" role="img" '
        f'aria-label="probability of each count; {chosen} is chosen">{bars}'
        f'<line x1="0" x2="{WIDTH:.0f}" y1="{floor}" y2="{floor}"/></svg>'
    )


def share(probability: float) -> str:
    """Format a probability in per cent, such as 97.0%; values below 1 are never shown as 100%."""
    if 0 < probability < 0.001:
        return "<0.1%"
    if 0.999 < probability < 1:
        return ">99.9%"
    return f"{100 * probability:.1f}%" if probability < 1 else "100%"


def _bar(count: int, probability: float, pitch: float, chosen: bool) -> str:
    centre, tall = (count + 0.5) * pitch, max(probability * HEIGHT, 1.0)
    top = ABOVE + HEIGHT - tall
    left, wide = centre - 0.31 * pitch, 0.62 * pitch
    number = share(probability).replace("<", "&lt;").replace(">", "&gt;")
    return (
        ('<g class="chosen">' if chosen else "<g>")
        + f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'
        + f'<text x="{centre:.1f}" y="{top - 4:.1f}">{number}</text>'
        + f'<text x="{centre:.1f}" y="{ABOVE + HEIGHT + 15:.0f}">{count}</text></g>'
    )


STEP_COLOURS = ("#ff8a1f", "#2fc0f2", "#8fdc3c", "#ff5fa2", "#ffd83d", "#b48cff")
"""Colours of the first, second, … step, visible on dark and on light images."""

_VIRIDIS = np.array(
    [
        (253, 231, 37), (181, 222, 43), (110, 206, 88), (53, 183, 121), (31, 158, 137),
        (38, 130, 142), (49, 104, 142), (62, 74, 137), (72, 40, 120), (68, 1, 84),
    ]
) / 255  # fmt: skip
"""Ten samples of the viridis map of matplotlib (van der Walt and Smith 2015, CC0), bright first."""

NOTHING = 0.13


def step_colour(step: int) -> str:
    """The colour of step number `step`, from 0, as #rrggbb."""
    return STEP_COLOURS[step % len(STEP_COLOURS)]


def depth_colours(depth: NDArray[np.floating]) -> NDArray[np.float32]:
    """Map depth (H, W) in metres to colours (H, W, 3) in [0, 1]: near bright, far dark, infinite grey."""
    seen = np.isfinite(depth)
    near, far = depth_range(depth)
    share = np.where(seen, (np.where(seen, depth, near) - near) / max(far - near, 1e-9), 0.0)
    places = np.linspace(0, 1, len(_VIRIDIS))
    coloured = np.stack([np.interp(share, places, channel) for channel in _VIRIDIS.T], axis=-1)
    return np.where(seen[..., None], coloured, NOTHING).astype(np.float32)


def depth_range(depth: NDArray[np.floating]) -> tuple[float, float]:
    """The smallest and the largest finite depth, metres; (0, 0) if there is none."""
    finite = depth[np.isfinite(depth)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def figure(drawn: str, caption: str) -> str:
    """An HTML figure with a caption."""
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def svg_image(
    image: NDArray[np.floating], boxes: dict[int, Box] | None = None, *, smooth: bool = False, marks: str = ""
) -> str:
    """Embed an image in SVG, with boxes and other marks as vector graphics.

    Args:
        image: (H, W) or (H, W, 3) in [0, 1].
        boxes: boxes in pixels by step.
        smooth: whether to interpolate when the image is scaled.
        marks: further SVG elements.
    """
    height, width = image.shape[:2]
    line = max(height, width) / 60
    rectangles = "".join(
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{w:.2f}" height="{h:.2f}" fill="none" '
        f'stroke="{step_colour(step)}" stroke-width="{line:.2f}"/>'
        for step, (x, y, w, h) in (boxes or {}).items()
    )
    kind = "picture smooth" if smooth else "picture"
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}"><image width="{width}" height="{height}" '
        f'href="{_data_uri(image)}"/>{rectangles}{marks}</svg>'
    )


def _data_uri(image: NDArray[np.floating]) -> str:
    encoded = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(encoded, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")


def short_name(identity: str) -> str:
    """An asset's name without the pack's name."""
    return identity.rpartition("/")[2]


def object_caption(found: ParsedObject) -> str:
    """An object's name and its probability; empty for 2D models."""
    name = short_name(found.identity or "")
    return name if found.identity_probability is None else f"{name} {share(found.identity_probability)}"


SHADE = "#101010"


def outline_marks(
    outlines: Sequence[Sequence[Polyline]], objects: Sequence[ParsedObject], size: tuple[int, ...]
) -> str:
    """Make SVG elements that overlay an image: outline and name of each object in its step's colour.

    Args:
        outlines: see `DrawnScene`.
        objects: the inferred objects.
        size: height and width of the image, in the outlines' pixels.
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
