"""What was found on a model's canvas, in the own pixels of the image that was laid onto it."""

from __future__ import annotations

from collections.abc import Sequence

from inverse_graphics.parse import Box, ParsedCamera
from inverse_graphics.parsing.canvas import Placement
from inverse_graphics.scene.numbers import MAX_SIDE
from inverse_graphics.scene.scene import Camera


def scene_camera(seen: ParsedCamera, placement: Placement) -> Camera:
    """The camera of a scene: that of the image, if a scene's picture can be as large."""
    shrunk = min(1.0, MAX_SIDE / max(placement.width, placement.height))
    first, second, last = seen.K
    return Camera.model_validate(
        {
            "width_px": max(1, round(placement.width * shrunk)),
            "height_px": max(1, round(placement.height * shrunk)),
            "K": ([shrunk * k for k in first], [shrunk * k for k in second], last),
            "T_world_camera": seen.T_world_camera,
        }
    )


def visible_box(box: Sequence[float], placement: Placement) -> Box:
    """The part of a box on the canvas that lies in the image.  box: x, y, width, height."""
    x, y, width, height = placement.box_in_image(box)
    left, right = (min(max(edge, 0.0), placement.width) for edge in (x, x + width))
    top, bottom = (min(max(edge, 0.0), placement.height) for edge in (y, y + height))
    return (left, top, right - left, bottom - top)
