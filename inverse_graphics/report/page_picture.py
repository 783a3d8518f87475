"""Pictures within a page, as SVG."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.formats import to_bytes
from inverse_graphics.parse import Box
from inverse_graphics.report.colours import step_colour


def figure(drawn: str, caption: str) -> str:
    """A picture with its caption, both HTML."""
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def picture(
    image: NDArray[np.floating], boxes: dict[int, Box] | None = None, *, smooth: bool = False, marks: str = ""
) -> str:
    """Draw an image as SVG, so that boxes and other marks over it stay sharp at any size."""
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
