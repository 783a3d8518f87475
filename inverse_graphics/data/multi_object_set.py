"""Data sets of images of several objects on disk: made part by part, and read part by part.

    FOLDER/canvases.json     the settings, and once the set is complete, the checksums of its parts
    FOLDER/sheet.png         the first images side by side
    FOLDER/part-0000.npz     1,024 images as arrays: images (M, S, S) uint8, 255 being white; counts (M,);
                             boxes (M, K, 4); labels (M, K); the last three int64, as in `MultiObjectBatch`

A part does not depend on the other parts, or on the number of processes; the images are those of
`MultiObjectImages.fixed_set`, in 256 grey levels.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from inverse_graphics import __version__
from inverse_graphics.data.multi_object import BLOCK, MultiObjectBatch, MultiObjectImages
from inverse_graphics.data.sources import MultiObjectData, open_streams
from inverse_graphics.errors import DataError
from inverse_graphics.io.files import atomic_write, storage_error
from inverse_graphics.io.parts import (
    SHEET,
    PartMaker,
    Parts,
    begin_set,
    complete_set,
    make_missing_parts,
    read_complete_set,
    write_contact_sheet,
)

DOCUMENT = "canvases.json"
PART = 4 * BLOCK
"""Images in a part."""
WHAT = "set of images"
SHEET_FACTOR = 2
"""Factor by which images on the contact sheet are enlarged."""

Share = Literal["train", "calibration", "test"]
OLD_SHARES = {"learnt": "train", "kept": "calibration", "held_out": "test"}
"""Names of shares in data sets of version 0.1."""


class ImageSetSettings(BaseModel):
    """Everything that determines a set's bytes, apart from versions of libraries.

    Attributes:
        share: which glyphs: those for training, for calibration of the outlier detector, or for testing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: MultiObjectData
    images: Annotated[int, Field(ge=1, le=10_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    share: Annotated[Share, BeforeValidator(lambda name: OLD_SHARES.get(name, name))] = "train"

    def parts(self, folder: Path) -> Parts:
        """The division into parts of the set in a folder."""
        return Parts(self.images, PART, partial(part_file, folder))


class ImageSetDocument(BaseModel):
    """The contents of `canvases.json`.

    Attributes:
        sha256: of each part's file, in order; empty until the set is complete.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    settings: ImageSetSettings
    versions: dict[str, str]
    sha256: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all parts exist."""
        return len(self.sha256) == len(self.settings.parts(Path()))


@dataclass(frozen=True)
class ImageSet:
    """A complete set; iterating gives its parts, in order."""

    folder: Path
    document: ImageSetDocument

    def __len__(self) -> int:
        return self.document.settings.images

    def __iter__(self) -> Iterator[MultiObjectBatch]:
        return (self.part(index) for index in range(len(self.document.sha256)))

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
        DataError: the folder holds no set, or one that is not complete.
    """
    folder = Path(folder)
    document = read_complete_set(
        folder / DOCUMENT, ImageSetDocument, WHAT, lambda document: document.complete
    )
    return ImageSet(folder, document)


def make_image_set(
    settings: ImageSetSettings,
    folder: Path | str,
    workers: int = 1,
    advanced: Callable[[int], object] = lambda _: None,
) -> ImageSet:
    """Make a set, or its missing parts; the bytes do not depend on the number of workers.

    After Ctrl-C the finished parts remain, and the same call continues.

    Args:
        settings: of the set.
        folder: an empty folder, or that of an incomplete set with the same settings.
        workers: processes; 1 draws in this process. More are spawned, so a script calls this under
            `if __name__ == "__main__":`.
        advanced: called with the number of existing images.

    Raises:
        DataError: the folder holds other files, or a set with other settings; the glyphs are missing, do
            not fit, or cannot be fetched; or a worker was killed.
        StorageError: a file cannot be written.
    """
    folder = Path(folder)
    parts, make = settings.parts(folder), _load_maker(settings, folder)
    versions = {"inverse-graphics": __version__, "numpy": metadata.version("numpy")}
    wanted = ImageSetDocument(settings=settings, versions=versions)
    document = begin_set(folder / DOCUMENT, wanted, WHAT, frozenset({"sha256"}))
    make_missing_parts(parts, make, partial(_load_maker, settings, folder), workers, advanced)
    if not document.complete:
        sums = tuple(_checksum(parts.path(part)) for part in range(len(parts)))
        document = document.model_copy(update={"sha256": sums})
        first = ImageSet(folder, document).part(0).images
        write_contact_sheet(folder / SHEET, map(Image.fromarray, _grey(first)), SHEET_FACTOR)
        complete_set(folder / DOCUMENT, document)
    return ImageSet(folder, document)


def multi_object_images(settings: ImageSetSettings) -> MultiObjectImages:
    """The stream whose first images the set holds.

    Raises:
        DataError: as `open_streams`.
    """
    stream: MultiObjectImages = getattr(open_streams(settings.data), settings.share)
    return stream


def make_part(settings: ImageSetSettings, stream: MultiObjectImages, folder: Path, part: int) -> None:
    """Generate and write one part.

    Raises:
        StorageError: it cannot be written.
    """
    first, images = part * PART // BLOCK, settings.parts(folder).images_in(part)
    blocks = [stream.batch(BLOCK, settings.seed, first + index) for index in range(-(-images // BLOCK))]
    batch = MultiObjectBatch(*(np.concatenate(arrays)[:images] for arrays in zip(*blocks, strict=True)))
    with atomic_write(part_file(folder, part)) as file:
        file.write(packed(batch))


def part_file(folder: Path, index: int) -> Path:
    """The path of a part."""
    return folder / f"part-{index:04d}.npz"


def packed(batch: MultiObjectBatch) -> bytes:
    """A part's file; equal batches give equal bytes."""
    file = io.BytesIO()
    np.savez_compressed(
        file, images=_grey(batch.images), counts=batch.counts, boxes=batch.boxes, labels=batch.labels
    )
    return file.getvalue()


def unpacked(content: bytes, name: str) -> MultiObjectBatch:
    """Read the images and the ground truth of a part's file; 255 becomes 1.

    Raises:
        DataError: the file is not such a part.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            images = np.divide(arrays["images"], np.float32(255), dtype=np.float32)
            return MultiObjectBatch(images, arrays["counts"], arrays["boxes"], arrays["labels"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise DataError(f"{name} is damaged ({problem}); make the set again") from problem


def _load_maker(settings: ImageSetSettings, folder: Path) -> PartMaker:
    return partial(make_part, settings, multi_object_images(settings), folder)


def _checksum(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise storage_error(path, problem) from problem


def _grey(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(255 * images).astype(np.uint8)
