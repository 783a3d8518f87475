"""Resizing of images to a model's square image, and the map of its coordinates to those of the original."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from inverse_graphics.inference.parse import Box, Matrix, Parse, ParsedCamera
from inverse_graphics.io.registry import Registry
from inverse_graphics.models.weights import LoadedModel
from inverse_graphics.scene.numbers import MAX_SIDE
from inverse_graphics.scene.scene import Camera

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class ImageResize:
    """The map from an image to the model's image: model position = image position · scale + (left, top).

    Attributes:
        width: of the original image, pixels.
        height: of the original image, pixels.
        scale: model pixels per image pixel.
        left: column of the original image's left edge in the model's image, pixels.
        top: row of the original image's top edge in the model's image, pixels.
    """

    scale: float
    left: float
    top: float
    width: int
    height: int

    @classmethod
    def covering(cls, width: int, height: int, size: int) -> ImageResize:
        """The map that scales the image's middle square to a square of `size` pixels."""
        scale = size / min(width, height)
        return cls(scale, (size - width * scale) / 2, (size - height * scale) / 2, width, height)

    def box_in_image(self, box: Sequence[float]) -> Box:
        """Map a box in the model's image to the original image.

        Args:
            box: x, y, width, height, pixels.
        """
        x, y, width, height = box
        scale = self.scale
        return ((x - self.left) / scale, (y - self.top) / scale, width / scale, height / scale)

    def intrinsics_in_image(self, K: Matrix) -> Matrix:
        """Map K of the model's image, without skew, to K of the original image: 3×3, pixels."""
        (fx, _, cx), (_, fy, cy), last = K
        scale = self.scale
        return ((fx / scale, 0.0, (cx - self.left) / scale), (0.0, fy / scale, (cy - self.top) / scale), last)


def resize_to_grey(image: NDArray[np.float32], size: int) -> tuple[Tensor, ImageResize]:
    """Convert to grey, resize to fit a square, and centre on black, to the pixel: (1, size, size) in [0, 1].

    Args:
        image: (H, W, 3) in [0, 1], as `as_image` gives it.
    """
    grey = torch.from_numpy(image @ _LUMA)
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


def resize_to_colour(image: NDArray[np.float32], size: int) -> tuple[Tensor, ImageResize]:
    """Resize the middle square of an image: (3, size, size) in [0, 1].

    A pixel is the mean of the area of the image that it covers; an image of fewer pixels is interpolated
    linearly.

    Args:
        image: (H, W, 3) in [0, 1], as `as_image` gives it.
    """
    coloured = torch.from_numpy(image)
    height, width, _ = coloured.shape
    resize = ImageResize.covering(width, height, size)
    if (height, width) == (size, size):
        return coloured.permute(2, 0, 1), resize
    down = _resampling(height, size, resize.scale, resize.top)
    right = _resampling(width, size, resize.scale, resize.left)
    rows = (down @ coloured.reshape(height, -1)).reshape(size, width, 3)
    return torch.einsum("hwc,xw->chx", rows, right), resize


def _resampling(extent: int, size: int, scale: float, start: float) -> Tensor:
    """Weights by which each of `size` pixels averages `extent` pixels, `scale` wide from `start` on.

    Returns:
        (size, extent), whose rows sum to one.
    """
    edges = (torch.arange(size + 1, dtype=torch.float64)[:, None] - start) / scale
    pixel = torch.arange(extent, dtype=torch.float64)
    if scale <= 1:
        shared = edges[1:].minimum(pixel + 1) - edges[:-1].maximum(pixel)
        return (shared.clamp(min=0) * scale).float()
    middle = ((edges[1:] + edges[:-1]) / 2).clamp(0.5, extent - 0.5)
    return (1 - (middle - pixel - 0.5).abs()).clamp(min=0).float()


_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in a grey level (ITU-R BT.601)."""


def scene_camera(seen: ParsedCamera, resize: ImageResize) -> Camera:
    """The image's camera as a scene's camera, with fewer pixels if the image is too large for a scene."""
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
    """Map a box in the model's image to the original image, clipped at its edges.

    Args:
        box: x, y, width, height.
    """
    x, y, width, height = resize.box_in_image(box)
    left, right = (min(max(edge, 0.0), resize.width) for edge in (x, x + width))
    top, bottom = (min(max(edge, 0.0), resize.height) for edge in (y, y + height))
    return (left, top, right - left, bottom - top)


class ResizedImage(NamedTuple):
    """An image, resized for a model.

    Attributes:
        model_image: (C, S, S) in [0, 1].
    """

    name: str
    model_image: Tensor
    resize: ImageResize


class Reader(Protocol):
    """Parses images with one network."""

    def resize(self, image: NDArray[np.float32]) -> tuple[Tensor, ImageResize]:
        """Resize an image, (H, W, 3) in [0, 1], to the network's."""

    def read(self, images: Sequence[ResizedImage]) -> Iterator[Parse]:
        """Parse images as one batch, in their order."""


class NetworkReader(Generic[Network]):
    """A network in evaluation mode on a device, with what a `Reader` needs to know of its model."""

    def __init__(self, model: LoadedModel, device: torch.device) -> None:
        self.name, self.familiarity = model.name, model.document.familiarity
        self.device = device
        self.network = cast("Network", model.module.to(device).eval())


READERS: Registry[Callable[[LoadedModel, torch.device], Reader]] = Registry(
    "model type", "inverse_graphics.inference.air2d_reader", "inverse_graphics.inference.air3d_reader"
)
"""Readers by the type of model."""
