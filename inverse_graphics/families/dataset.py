"""Data sets of a scene family on disk: pictures, masks, depth and ground truth, read back as they were made.

    FOLDER/dataset.json                  what the data set was made from, and whether it is complete
    FOLDER/sheet.png                     the first pictures side by side
    FOLDER/part-0000/truth.jsonl         a line for each image: its scene, and what is seen of each object
    FOLDER/part-0000/images/000000.png   8-bit RGB, with observation noise if sigma > 0
    FOLDER/part-0000/masks/000000.png    a palette PNG: 0, or the number of the object from 1
    FOLDER/part-0000/depth/000000.png    16-bit grey, millimetres, 0 where only background is

A part holds 128 images. Nothing in it depends on other parts, nor on how many processes made them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.errors import DataError
from inverse_graphics.families.registry import AnyFamilySettings
from inverse_graphics.io.documents import parse_json, validated
from inverse_graphics.io.parts import Parts, read_complete_set
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.model import ObservationModel
from inverse_graphics.scene.numbers import Number
from inverse_graphics.scene.scene import Scene

DOCUMENT = "dataset.json"
TRUTH = "truth.jsonl"
PART = 128
"""Images in a part."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetSettings(_Frozen):
    """All that a data set's bytes depend on, but for versions and the packs' contents.

    Attributes:
        sigma: standard deviation of the noise added to each channel of each pixel, in shares of full
            brightness; what leaves [0, 1] is clipped, as a picture file cannot hold it.
        engine: the render engine's name.
    """

    family: AnyFamilySettings
    images: Annotated[int, Field(ge=1, le=10_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    sigma: Annotated[Number, Field(ge=0, le=1)] = 0.0
    engine: str = "embedded"

    @property
    def observation_model(self) -> ObservationModel | None:
        """What makes images of renders; None where they stay as they are."""
        return GaussianModel(self.sigma) if self.sigma > 0 else None

    def parts(self, folder: Path) -> Parts:
        """How the data set in a folder is divided."""
        return Parts(self.images, PART, partial(part_folder, folder))


class DatasetDocument(_Frozen):
    """What `dataset.json` holds; `complete` turns true when everything is there."""

    format: Literal[1] = 1
    settings: DatasetSettings
    packs_hash: str
    versions: dict[str, str]
    complete: bool = False


class OrbitTruth(_Frozen):
    """Where the camera stands, seen from what it looks at; radians and metres."""

    azimuth: float
    elevation: float
    distance_m: float


class Truth(_Frozen):
    """What is known of one image.

    Attributes:
        scene: objects are numbered in the mask by their order here, from 1, the nearest first.
        visible_px: in how many pixels each of them is seen; alone_px: in how many it would be seen if nothing
            hid it.
    """

    index: int
    orbit: OrbitTruth
    visible_px: tuple[int, ...]
    alone_px: tuple[int, ...]
    scene: Scene


@dataclass(frozen=True)
class DatasetItem:
    """One image and what is known of it.

    Attributes:
        image: (H, W, 3) float32 in [0, 1].
        mask: (H, W) uint8, number of the object from 1, 0 where none is.
        depth: (H, W) float32, metres along the camera's z axis, to the millimetre, +inf where only background
            is.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    depth: NDArray[np.float32]
    truth: Truth


@dataclass(frozen=True)
class Dataset:
    """A complete data set: `len`, `[index]` and iteration, in the order in which it was made."""

    folder: Path
    document: DatasetDocument

    def __len__(self) -> int:
        return self.document.settings.images

    def __getitem__(self, index: int) -> DatasetItem:
        """Read one image with its mask, depth and ground truth; negative indices count from the end.

        Raises:
            IndexError: there is no such image.
            DataError: a file is missing or damaged.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of a data set of {len(self)}")
        index %= len(self)
        truth = self.truths(index // PART)[index % PART]
        depth = self._pixels("depth", index).astype(np.float32) / 1000
        return DatasetItem(
            image=np.divide(self._pixels("images", index), np.float32(255), dtype=np.float32),
            mask=self._pixels("masks", index).astype(np.uint8),
            depth=np.where(depth > 0, depth, np.float32(np.inf)),
            truth=truth,
        )

    def __iter__(self) -> Iterator[DatasetItem]:
        return (self[index] for index in range(len(self)))

    def path(self, what: Literal["images", "masks", "depth"], index: int) -> Path:
        """Where an image, a mask or a depth map lies."""
        return part_folder(self.folder, index // PART) / what / f"{index:06d}.png"

    def truths(self, part: int) -> tuple[Truth, ...]:
        """Read the ground truth of all images of a part.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = part_folder(self.folder, part) / TRUTH
        try:
            return _read_truths(path, path.stat().st_mtime_ns)
        except OSError as problem:
            raise DataError(f"cannot read {path}: {problem.strerror}; make the data set again") from problem

    def _pixels(self, what: Literal["images", "masks", "depth"], index: int) -> NDArray[np.integer]:
        path = self.path(what, index)
        try:
            with Image.open(path, formats=("PNG",)) as image:
                return np.asarray(image)
        except (OSError, SyntaxError, ValueError) as problem:
            raise DataError(f"cannot read {path}: {problem}; make the data set again") from problem


def read_dataset(folder: Path | str) -> Dataset:
    """Open a data set that `inverse-graphics data make` has made.

    Raises:
        DataError: no data set lies there, or one that is not complete.
    """
    folder = Path(folder)
    document = read_complete_set(
        folder / DOCUMENT, DatasetDocument, "data set", lambda document: document.complete
    )
    return Dataset(folder, document)


def part_folder(folder: Path, part: int) -> Path:
    """Where a part of a data set lies."""
    return folder / f"part-{part:04d}"


@lru_cache(maxsize=4)
def _read_truths(path: Path, changed: int) -> tuple[Truth, ...]:  # noqa: ARG001 - part of the cache's key
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    named = ((f"{path}, line {number}", line) for number, line in enumerate(lines, start=1))
    return tuple(validated(Truth, parse_json(line, name, DataError), name, DataError) for name, line in named)
