"""Data sets of images of several objects on disk, read back as they were made.

    FOLDER/canvases.json     what the set was made from, and once complete the checksums of its parts
    FOLDER/sheet.png         the first images side by side
    FOLDER/part-0000.npz     1,024 images as arrays: images (M, S, S) uint8, 255 being white; counts (M,);
                             boxes (M, K, 4); labels (M, K); the last three int64, as in `MultiObjectBatch`

Nothing in a part depends on others, nor on how many processes made it; the images are those of
`Canvases.fixed_set`, in 256 grey levels.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from inverse_graphics.data.multi_object import BLOCK, MultiObjectBatch
from inverse_graphics.data.sources import MultiObjectData
from inverse_graphics.errors import DataError
from inverse_graphics.io.documents import read_document, validated
from inverse_graphics.io.files import atomic_write

DOCUMENT = "canvases.json"
PART = 4 * BLOCK
"""Images in a part."""

Share = Literal["train", "calibration", "test"]
OLD_SHARES = {"learnt": "train", "kept": "calibration", "held_out": "test"}
"""Names of shares in data sets of version 0.1."""


class ImageSetSettings(BaseModel):
    """All that a set's bytes depend on, but for versions.

    share: whose glyphs: those for training, for calibrating the outlier detector, or for testing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: MultiObjectData
    images: Annotated[int, Field(ge=1, le=10_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    share: Annotated[Share, BeforeValidator(lambda name: OLD_SHARES.get(name, name))] = "train"

    @property
    def parts(self) -> int:
        """How many parts the set has."""
        return -(-self.images // PART)


class ImageSetDocument(BaseModel):
    """What `canvases.json` holds.  sha256: of each part's file, in order; none until all are there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    settings: ImageSetSettings
    versions: dict[str, str]
    sha256: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all parts are there."""
        return len(self.sha256) == self.settings.parts


@dataclass(frozen=True)
class ImageSet:
    """A complete set; iterating gives its parts, in order."""

    folder: Path
    document: ImageSetDocument

    def __len__(self) -> int:
        return self.document.settings.images

    def __iter__(self) -> Iterator[MultiObjectBatch]:
        return (self.part(index) for index in range(self.document.settings.parts))

    def part(self, index: int) -> MultiObjectBatch:
        """Read and verify one part, at most 1,024 images.

        Raises:
            IndexError: there is no such part.
            DataError: the file is missing or damaged.
        """
        path, expected = part_file(self.folder, index), self.document.sha256[index]
        try:
            content = path.read_bytes()
        except OSError as problem:
            raise DataError(f"cannot read {path}: {problem.strerror}; make the set again") from problem
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise DataError(f"{path} has sha256 {found[:12]}…, expected {expected[:12]}…; make the set again")
        return unpacked(content, str(path))


def read_image_set(folder: Path | str) -> ImageSet:
    """Open a set that `inverse-graphics data make` has made.

    Raises:
        DataError: none lies there, or one that is not complete.
    """
    folder = Path(folder)
    document = read_image_set_document(folder)
    if document is None:
        raise DataError(
            f"no set of images in {folder}: expected a folder that `inverse-graphics data make` made"
        )
    if not document.complete:
        raise DataError(f"the set in {folder} is not complete: make it again, which goes on")
    return ImageSet(folder, document)


def read_image_set_document(folder: Path) -> ImageSetDocument | None:
    """Read what a set was made from; None where there is none.

    Raises:
        DataError: the document is damaged.
    """
    path = folder / DOCUMENT
    if not path.is_file():
        return None
    return validated(ImageSetDocument, read_document(path, DataError), str(path), DataError)


def write_image_set_document(folder: Path, document: ImageSetDocument) -> None:
    """Write `canvases.json`.

    Raises:
        StorageError: it cannot be written.
    """
    with atomic_write(folder / DOCUMENT, "w") as file:
        file.write(json.dumps(document.model_dump(mode="json"), indent=2, allow_nan=False) + "\n")


def part_file(folder: Path, index: int) -> Path:
    """Where a part lies."""
    return folder / f"part-{index:04d}.npz"


def packed(batch: MultiObjectBatch) -> bytes:
    """A part's file; equal batches give equal bytes."""
    file = io.BytesIO()
    grey = np.rint(255 * batch.images).astype(np.uint8)
    np.savez_compressed(file, images=grey, counts=batch.counts, boxes=batch.boxes, labels=batch.labels)
    return file.getvalue()


def unpacked(content: bytes, name: str) -> MultiObjectBatch:
    """The images and the truth in a part's file; grey levels are those of 255.

    Raises:
        DataError: it holds something else.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            images = np.divide(arrays["images"], np.float32(255), dtype=np.float32)
            return MultiObjectBatch(images, arrays["counts"], arrays["boxes"], arrays["labels"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise DataError(f"{name} is damaged ({problem}); make the set again") from problem
