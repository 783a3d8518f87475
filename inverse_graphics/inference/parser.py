"""Inference of scenes from images with a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from os import PathLike, fspath
from os.path import isfile
from pathlib import Path
from typing import cast, overload

import torch

from inverse_graphics.devices import resolve_device
from inverse_graphics.errors import ImageError, ModelError
from inverse_graphics.inference.image_resize import READERS, ResizedImage
from inverse_graphics.inference.parse import Parse
from inverse_graphics.io.images import ImageLike, as_image, is_one_image
from inverse_graphics.models.weights import LoadedModel, load_model
from inverse_graphics.packs.pack import Pack

DEFAULT_MODEL = "table_top"
BATCH_SIZE = 64
"""Images that go through the network at once."""


class SceneParser:
    """Parses images with one model.

    >>> parser = load_parser()                           # doctest: +SKIP
    >>> parser.parse("table.png").count                  # doctest: +SKIP
    2

    Args:
        model: A loaded 2D or 3D model.
        device: Where the network runs, such as "cpu" or "cuda".

    Raises:
        ModelError: The model is of a type that cannot parse images.
        DeviceError: This machine has no such device.
    """

    def __init__(self, model: LoadedModel, device: str | torch.device = "cpu") -> None:
        if model.document.kind not in READERS:
            raise ModelError(
                f"model '{model.name}' is of kind '{model.document.kind}', which cannot parse images: "
                f"expected one of {', '.join(READERS)}"
            )
        self.name, self.document = model.name, model.document
        self._reader = READERS[model.document.kind](model, resolve_device(device))

    @classmethod
    def load(cls, model: str | Path | None = None, device: str | torch.device = "cpu") -> SceneParser:
        """Load a parser: the former name of `load_parser`."""
        return load_parser(model, device)

    @overload
    def parse(self, images: ImageLike, names: str | None = None) -> Parse: ...  # type: ignore[overload-overlap]

    @overload
    def parse(self, images: Iterable[ImageLike], names: Sequence[str] | None = None) -> list[Parse]: ...

    def parse(
        self, images: ImageLike | Iterable[ImageLike], names: str | Sequence[str] | None = None
    ) -> Parse | list[Parse]:
        """Parse one image, or several of any sizes.

        Args:
            images: One image or an iterable of images, each a path, a Pillow image, an array or a tensor, as
                `as_image` describes. An array is always one image: pass a batch (N, H, W, 3) as a list.
            names: Values of `Parse.image`: one name for one image, a sequence for several. Default: the path
                of an image that is read from a path, else its index, "0", "1", …

        Returns:
            One parse for one image, a list for several, in their order.

        Raises:
            ImageError: An image cannot be read or is ambiguous, or there are not as many names as
                images.
        """
        one = is_one_image(images)
        several = cast("list[ImageLike]", [images] if one else list(cast("Iterable[ImageLike]", images)))
        if names is None:
            names = [_name(index, image) for index, image in enumerate(several)]
        elif isinstance(names, str):
            names = [names]
        if len(names) != len(several):
            raise ImageError(f"got {len(names)} names for {len(several)} images: expected one for each")
        parses = list(self.parse_stream(zip(names, several, strict=True)))
        return parses[0] if one else parses

    def parse_stream(self, images: Iterable[tuple[str, ImageLike]]) -> Iterator[Parse]:
        """Parse a stream of images in batches; parses come in the order of the images.

        Args:
            images: Pairs of a name and an image, as `parse` takes them.

        Yields:
            The parse of each image.

        Raises:
            ImageError: An image cannot be read or is ambiguous.
        """
        pairs = iter(images)
        while several := list(islice(pairs, BATCH_SIZE)):
            batch, held = [], []
            for name, image in several:
                pixels = as_image(image, f"image '{name}'")
                batch.append(ResizedImage(name, *self._reader.resize(pixels)))
                held.append(None if isfile(name) else pixels)  # noqa: PTH113 - of any name
            for parse, pixels_given in zip(self._reader.read(batch), held, strict=True):
                yield replace(parse, pixels=pixels_given)


def load_parser(
    model: str | Path | None = None, device: str | torch.device = "cpu", packs: Sequence[Pack] = ()
) -> SceneParser:
    """Load a model that parses images.

    Args:
        model: A shipped model's name (see `list_models`) or a model's folder; default "table_top".
        device: Where the network runs, such as "cpu" or "cuda".
        packs: Asset packs in place of those of the same names in the model's folder.

    Returns:
        The parser.

    Raises:
        DeviceError: This machine has no such device.
        ModelError: No such model, its files are damaged, it cannot parse images, or objects of a pack do not
            look as in training.
        AssetError: Objects cannot be read.
    """
    device = resolve_device(device)  # before the weights are read
    return SceneParser(load_model(DEFAULT_MODEL if model is None else model, packs), device)


def _name(index: int, image: ImageLike) -> str:
    return fspath(image) if isinstance(image, str | PathLike) else str(index)
