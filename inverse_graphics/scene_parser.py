"""Parses images with a trained model: what a robot script calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from inverse_graphics.errors import ImageError, ModelError
from inverse_graphics.models.air2d import Air2D
from inverse_graphics.models.air2d_reading import Reading, read_images
from inverse_graphics.models.weights import LoadedModel, load_model
from inverse_graphics.parse import Box, Parse, ParsedObject

DEFAULT_MODEL = "multi_mnist"
BATCH = 256
"""Images that go through the network at once."""


@dataclass(frozen=True)
class Placement:
    """How an image was laid onto the model's canvas: canvas = image · scale + (left, top), pixels."""

    scale: float
    left: int
    top: int

    def box_in_image(self, box: Sequence[float]) -> Box:
        """A box on the canvas, as one of the image.  box: x, y, width, height, pixels."""
        x, y, width, height = box
        scale = self.scale
        return ((x - self.left) / scale, (y - self.top) / scale, width / scale, height / scale)


class SceneParser:
    """Says what is on images, with one loaded model.

    >>> parser = SceneParser.load()                      # doctest: +SKIP
    >>> parser.parse([image])[0].count                   # doctest: +SKIP
    2
    """

    def __init__(self, model: LoadedModel, device: str | torch.device = "cpu") -> None:
        if not isinstance(model.module, Air2D):
            raise ModelError(
                f"model '{model.name}' is of kind '{model.document.kind}', which cannot parse images: "
                "choose a model of kind 'air2d'"
            )
        self.name = model.name
        self.device = torch.device(device)
        self.network = model.module.to(self.device).eval()
        self.familiarity = model.document.familiarity

    @classmethod
    def load(cls, model: str | Path | None = None, device: str | torch.device = "cpu") -> SceneParser:
        """The parser of a shipped model's name or of a model folder; without either, of the default model.

        Raises:
            ModelError: no such model, or its files are damaged.
        """
        return cls(load_model(DEFAULT_MODEL if model is None else model), device)

    def parse(
        self, images: Sequence[NDArray[np.floating]], names: Sequence[str] | None = None
    ) -> list[Parse]:
        """Parse images of any sizes.

        images: each (H, W) or (H, W, 3), floats in [0, 1].  names: what each answer calls its image;
        without them, "0", "1", …

        Raises:
            ImageError: an array is not an image.
        """
        named = names if names is not None else [str(index) for index in range(len(images))]
        return list(self.parse_stream(zip(named, images, strict=True)))

    def parse_stream(self, images: Iterable[tuple[str, NDArray[np.floating]]]) -> Iterator[Parse]:
        """Parse (name, image) pairs as they come, in batches, in order."""
        batch: list[tuple[str, Tensor, Placement]] = []
        for name, image in images:
            batch.append((name, *place_on_canvas(image, self.network.settings.image_size)))
            if len(batch) == BATCH:
                yield from self._parse_batch(batch)
                batch = []
        if batch:
            yield from self._parse_batch(batch)

    def _parse_batch(self, batch: list[tuple[str, Tensor, Placement]]) -> Iterator[Parse]:
        observed = torch.stack([canvas for _, canvas, _ in batch])
        reading = Reading(*(part.cpu() for part in read_images(self.network, observed.to(self.device))))
        familiarity, parsed = self.familiarity, reading.parsed_images()
        warnings = [None] * len(batch) if familiarity is None else familiarity.warnings(parsed)
        for index, (name, canvas, placement) in enumerate(batch):
            count = int(reading.counts[index])
            prefixes = _grey_to_rgb(reading.prefixes[index, : count + 1])
            yield Parse(
                image=name,
                model=self.name,
                count=count,
                count_probabilities=tuple(reading.count_probabilities[index].tolist()),
                log_likelihood=float(reading.log_likelihoods[index]),
                warning=warnings[index],
                objects=tuple(
                    ParsedObject(
                        box_px=placement.box_in_image(reading.boxes[index, step].tolist()),
                        window_px=placement.box_in_image(reading.windows[index, step].tolist()),
                    )
                    for step in range(count)
                ),
                camera=None,
                observation=_grey_to_rgb(canvas[0]),
                reconstruction=prefixes[count],
                prefixes=prefixes,
            )


def place_on_canvas(image: NDArray[np.floating], size: int) -> tuple[Tensor, Placement]:
    """Grey, resized to fit a square canvas, and centred on black: (1, size, size) in [0, 1].

    image: (H, W) or (H, W, 3), floats in [0, 1].

    Raises:
        ImageError: the array has another shape, is empty, or holds values that are not finite.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or 0 in pixels.shape:
        raise ImageError(f"an array of shape {pixels.shape}: expected an image (H, W) or (H, W, 3)")
    if not np.isfinite(pixels).all():
        raise ImageError("an image with values that are not finite: expected floats in [0, 1]")
    grey = torch.from_numpy(pixels if pixels.ndim == 2 else pixels @ _LUMA).clamp(0, 1)
    height, width = grey.shape
    scale = size / max(height, width)
    fitted = (max(1, round(height * scale)), max(1, round(width * scale)))
    if fitted != (height, width):
        grey = interpolate(grey[None, None], fitted, mode="bilinear", antialias=True, align_corners=False)[
            0, 0
        ]
    left, top = (size - fitted[1]) // 2, (size - fitted[0]) // 2
    canvas = pad(grey, (left, size - fitted[1] - left, top, size - fitted[0] - top))
    return canvas[None], Placement(scale, left, top)


_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in a grey level (ITU-R BT.601)."""


def _grey_to_rgb(grey: Tensor) -> NDArray[np.float32]:
    """(..., H, W) to (..., H, W, 3)."""
    return np.repeat(grey.numpy()[..., None], 3, axis=-1)
