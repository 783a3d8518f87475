"""Images of any size on a model's square canvas, and the way back to their own pixels.

What was found on a model's canvas, in the own pixels of the image that was laid onto it.

What a parser needs of a kind of model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from inverse_graphics.errors import ImageError
from inverse_graphics.inference.parse import Box, Matrix, Parse, ParsedCamera
from inverse_graphics.scene.numbers import MAX_SIDE
from inverse_graphics.scene.scene import Camera


@dataclass(frozen=True)
class ImageResize:
    """How an image was laid onto the model's canvas: canvas = image · scale + (left, top), pixels.

    width, height: of the image as it was given.
    """

    scale: float
    left: float
    top: float
    width: int
    height: int

    @classmethod
    def covering(cls, width: int, height: int, size: int) -> ImageResize:
        """So large that its middle fills a square of `size` pixels."""
        scale = size / min(width, height)
        return cls(scale, (size - width * scale) / 2, (size - height * scale) / 2, width, height)

    def box_in_image(self, box: Sequence[float]) -> Box:
        """A box on the canvas, as one of the image.  box: x, y, width, height, pixels."""
        x, y, width, height = box
        scale = self.scale
        return ((x - self.left) / scale, (y - self.top) / scale, width / scale, height / scale)

    def intrinsics_in_image(self, K: Matrix) -> Matrix:
        """K of the canvas, without skew, as that of the image: 3×3, pixels."""
        (fx, _, cx), (_, fy, cy), last = K
        scale = self.scale
        return ((fx / scale, 0.0, (cx - self.left) / scale), (0.0, fy / scale, (cy - self.top) / scale), last)


def resize_to_grey(image: NDArray[np.floating], size: int) -> tuple[Tensor, ImageResize]:
    """Grey, resized to fit a square canvas, and centred on black, to the pixel: (1, size, size) in [0, 1].

    image: (H, W) or (H, W, 3), floats in [0, 1].

    Raises:
        ImageError: the array has another shape, is empty, or holds values that are not finite.
    """
    pixels = _checked(image)
    grey = torch.from_numpy(pixels if pixels.ndim == 2 else pixels @ _LUMA)
    height, width = grey.shape
    scale = size / max(height, width)
    fitted = (max(1, round(height * scale)), max(1, round(width * scale)))
    if fitted != (height, width):
        grey = interpolate(grey[None, None], fitted, mode="bilinear", antialias=True, align_corners=False)[
            0, 0
        ]
    left, top = (size - fitted[1]) // 2, (size - fitted[0]) // 2
    model_image = pad(grey, (left, size - fitted[1] - left, top, size - fitted[0] - top))
    return model_image[None], ImageResize(scale, left, top, width, height)


def resize_to_colour(image: NDArray[np.floating], size: int) -> tuple[Tensor, ImageResize]:
    """Colour, the middle square of an image resized to a square canvas: (3, size, size) in [0, 1].

    A pixel of the canvas is the mean of the area of the image that it covers; where the image has fewer
    pixels than the canvas, it is interpolated linearly.
    image: (H, W) or (H, W, 3), floats in [0, 1].

    Raises:
        ImageError: the array has another shape, is empty, or holds values that are not finite.
    """
    pixels = torch.from_numpy(_checked(image))
    coloured = pixels[..., None].expand(*pixels.shape, 3) if pixels.ndim == 2 else pixels
    height, width, _ = coloured.shape
    resize = ImageResize.covering(width, height, size)
    if (height, width) == (size, size):
        return coloured.permute(2, 0, 1), resize
    down = _resampling(height, size, resize.scale, resize.top)
    right = _resampling(width, size, resize.scale, resize.left)
    rows = (down @ coloured.reshape(height, -1)).reshape(size, width, 3)
    return torch.einsum("hwc,xw->chx", rows, right), resize


def _resampling(extent: int, size: int, scale: float, start: float) -> Tensor:
    """What each of `size` pixels takes of each of `extent`, which lie `scale` apart from `start` on.

    Returns (size, extent), whose rows sum to one.
    """
    edges = (torch.arange(size + 1, dtype=torch.float64)[:, None] - start) / scale
    pixel = torch.arange(extent, dtype=torch.float64)
    if scale <= 1:
        shared = edges[1:].minimum(pixel + 1) - edges[:-1].maximum(pixel)
        return (shared.clamp(min=0) * scale).float()
    middle = ((edges[1:] + edges[:-1]) / 2).clamp(0.5, extent - 0.5)
    return (1 - (middle - pixel - 0.5).abs()).clamp(min=0).float()


def _checked(image: NDArray[np.floating]) -> NDArray[np.float32]:
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or 0 in pixels.shape:
        raise ImageError(f"an array of shape {pixels.shape}: expected an image (H, W) or (H, W, 3)")
    if not np.isfinite(pixels).all():
        raise ImageError("an image with values that are not finite: expected floats in [0, 1]")
    return np.ascontiguousarray(pixels.clip(0, 1))


_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in a grey level (ITU-R BT.601)."""


def scene_camera(seen: ParsedCamera, resize: ImageResize) -> Camera:
    """The camera of a scene: that of the image, if a scene's picture can be as large."""
    shrunk = min(1.0, MAX_SIDE / max(resize.width, resize.height))
    first, second, last = seen.K
    return Camera.model_validate(
        {
            "width_px": max(1, round(resize.width * shrunk)),
            "height_px": max(1, round(resize.height * shrunk)),
            "K": ([shrunk * k for k in first], [shrunk * k for k in second], last),
            "T_world_camera": seen.T_world_camera,
        }
    )


def visible_box(box: Sequence[float], resize: ImageResize) -> Box:
    """The part of a box on the canvas that lies in the image.  box: x, y, width, height."""
    x, y, width, height = resize.box_in_image(box)
    left, right = (min(max(edge, 0.0), resize.width) for edge in (x, x + width))
    top, bottom = (min(max(edge, 0.0), resize.height) for edge in (y, y + height))
    return (left, top, right - left, bottom - top)


class ResizedImage(NamedTuple):
    """An image as a model takes it.  canvas: (C, S, S) in [0, 1]."""

    name: str
    model_image: Tensor
    resize: ImageResize


class Reader(Protocol):
    """Reads images with one network."""

    def place(self, image: NDArray[np.floating]) -> tuple[Tensor, ImageResize]:
        """Lay an image, (H, W) or (H, W, 3) in [0, 1], onto the network's canvas.

        Raises:
            ImageError: the array is not an image.
        """

    def read(self, images: Sequence[ResizedImage]) -> Iterator[Parse]:
        """Parse images, all at once, in their order."""
