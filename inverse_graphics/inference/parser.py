"""Parses images with a trained model: what a robot script calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.errors import ModelError
from inverse_graphics.inference.air2d_reader import Air2DReader
from inverse_graphics.inference.air3d_reader import Air3DReader
from inverse_graphics.inference.image_resize import Reader, ResizedImage
from inverse_graphics.inference.parse import Parse
from inverse_graphics.models.weights import LoadedModel, load_model

DEFAULT_MODEL = "table_top"
BATCH = 64
"""Images that go through the network at once."""

READERS: Mapping[str, Callable[[LoadedModel, torch.device], Reader]] = {
    "air2d": Air2DReader,
    "air3d": Air3DReader,
}
"""What reads images, by the kind of model."""


class SceneParser:
    """Says what is on images, with one loaded model.

    >>> parser = SceneParser.load()                      # doctest: +SKIP
    >>> parser.parse([image])[0].count                   # doctest: +SKIP
    2
    """

    def __init__(self, model: LoadedModel, device: str | torch.device = "cpu") -> None:
        if model.document.kind not in READERS:
            raise ModelError(
                f"model '{model.name}' is of kind '{model.document.kind}', which cannot parse images: "
                f"expected one of {', '.join(READERS)}"
            )
        self.name, self.document = model.name, model.document
        self._reader = READERS[model.document.kind](model, torch.device(device))

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
        batch: list[ResizedImage] = []
        for name, image in images:
            batch.append(ResizedImage(name, *self._reader.place(image)))
            if len(batch) == BATCH:
                yield from self._reader.read(batch)
                batch = []
        if batch:
            yield from self._reader.read(batch)
