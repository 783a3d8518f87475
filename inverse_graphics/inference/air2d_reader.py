"""The reader of 2D models, which infer bounding boxes of objects without names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.inference.image_resize import (
    READERS,
    ImageResize,
    NetworkReader,
    ResizedImage,
    resize_to_grey,
)
from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.models.air2d.inference import Reading, read_images
from inverse_graphics.models.air2d.network import Air2D


@READERS.register("air2d")
class Air2DReader(NetworkReader[Air2D]):
    """A `Reader` for 2D models."""

    def resize(self, image: NDArray[np.float32]) -> tuple[Tensor, ImageResize]:
        """Convert to grey, and centre on black: (1, S, S)."""
        return resize_to_grey(image, self.network.settings.image_size)

    def read(self, images: Sequence[ResizedImage]) -> Iterator[Parse]:
        """Parse images as one batch, in their order."""
        observed = torch.stack([image.model_image for image in images])
        reading = Reading(*(part.cpu() for part in read_images(self.network, observed.to(self.device))))
        familiarity, parsed = self.familiarity, reading.parsed_images()
        warnings = [None] * len(images) if familiarity is None else familiarity.warnings(parsed)
        for index, (image, warning) in enumerate(zip(images, warnings, strict=True)):
            yield self._parse(image, reading, index, warning)

    def _parse(self, image: ResizedImage, reading: Reading, index: int, warning: str | None) -> Parse:
        count = int(reading.counts[index])
        prefixes = _grey_to_rgb(reading.prefixes[index, : count + 1])
        in_image = image.resize.box_in_image
        return Parse(
            image=image.name,
            model=self.name,
            count=count,
            count_probabilities=tuple(reading.count_probabilities[index].tolist()),
            log_likelihood=float(reading.log_likelihoods[index]),
            warning=warning,
            objects=tuple(
                ParsedObject(
                    box_px=in_image(reading.boxes[index, step].tolist()),
                    window_px=in_image(reading.windows[index, step].tolist()),
                )
                for step in range(count)
            ),
            camera=None,
            observation=_grey_to_rgb(image.model_image[0]),
            reconstruction=prefixes[count],
            prefixes=prefixes,
        )


def _grey_to_rgb(grey: Tensor) -> NDArray[np.float32]:
    """(..., H, W) to (..., H, W, 3)."""
    return np.repeat(grey.numpy()[..., None], 3, axis=-1)
