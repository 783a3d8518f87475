"""Making a set of images of several objects: parts in parallel, begun where an earlier call stopped."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
from PIL import Image

from inverse_graphics import __version__
from inverse_graphics.data.multi_object import BLOCK, MultiObjectBatch, MultiObjectImages
from inverse_graphics.data.multi_object_set import (
    PART,
    ImageSet,
    ImageSetDocument,
    ImageSetSettings,
    packed,
    part_file,
    read_image_set_document,
    write_image_set_document,
)
from inverse_graphics.data.sources import open_streams
from inverse_graphics.errors import DataError
from inverse_graphics.io.files import atomic_write, storage_error

SHEET = "sheet.png"
COLUMNS, ROWS, GAP = 8, 4, 4


def make_image_set(
    settings: ImageSetSettings,
    folder: Path | str,
    workers: int = 1,
    advanced: Callable[[int], object] = lambda _: None,
) -> ImageSet:
    """Make a set, or what is still missing of it; its bytes do not depend on the number of workers.

    workers: processes; 1 draws in this process. More are spawned, so a script calls this under
    `if __name__ == "__main__":`.  advanced: told how many images are there. Ctrl-C leaves what is finished;
    the same call goes on.

    Raises:
        DataError: something else lies in the folder, or a set of other settings; the glyphs are missing, do
            not fit, or cannot be fetched; or a worker was killed.
        StorageError: a file cannot be written.
    """
    folder = Path(folder)
    images_of_objects = multi_object_images(settings)
    document = _begun(folder, settings)
    missing = [part for part in range(settings.parts) if not part_file(folder, part).is_file()]
    done = settings.images - sum(_images(settings, part) for part in missing)
    advanced(done)
    for part in _made(settings, images_of_objects, folder, missing, workers):
        done += _images(settings, part)
        advanced(done)
    if not document.complete:
        sums = [_checksum(part_file(folder, part)) for part in range(settings.parts)]
        document = document.model_copy(update={"sha256": tuple(sums)})
        with atomic_write(folder / SHEET) as file:
            sheet(ImageSet(folder, document).part(0)).save(file, format="PNG")
        write_image_set_document(folder, document)
    return ImageSet(folder, document)


def images_made(settings: ImageSetSettings, folder: Path | str) -> int:
    """Count the images that are there already."""
    parts = range(settings.parts)
    return sum(_images(settings, part) for part in parts if part_file(Path(folder), part).is_file())


def multi_object_images(settings: ImageSetSettings) -> MultiObjectImages:
    """The stream whose first images the set holds.

    Raises:
        DataError: as `open_streams`.
    """
    stream: MultiObjectImages = getattr(open_streams(settings.data), settings.share)
    return stream


def make_part(
    settings: ImageSetSettings, images_of_objects: MultiObjectImages, folder: Path, part: int
) -> int:
    """Draw and write one part; returns its number.

    Raises:
        StorageError: it cannot be written.
    """
    first, images = part * PART // BLOCK, _images(settings, part)
    blocks = [
        images_of_objects.batch(BLOCK, settings.seed, first + index) for index in range(-(-images // BLOCK))
    ]
    batch = MultiObjectBatch(*(np.concatenate(arrays)[:images] for arrays in zip(*blocks, strict=True)))
    with atomic_write(part_file(folder, part)) as file:
        file.write(packed(batch))
    return part


def sheet(batch: MultiObjectBatch) -> Image.Image:
    """The first 32 images side by side, each pixel doubled."""
    count, size = min(len(batch.images), COLUMNS * ROWS), 2 * batch.images.shape[1]
    columns, rows = min(count, COLUMNS), -(-count // COLUMNS)
    page = Image.new("L", (columns * (size + GAP) + GAP, rows * (size + GAP) + GAP), "white")
    for index, image in enumerate(batch.images[:count]):
        row, column = divmod(index, COLUMNS)
        grey = np.rint(255 * image).astype(np.uint8).repeat(2, 0).repeat(2, 1)
        page.paste(Image.fromarray(grey), (GAP + column * (size + GAP), GAP + row * (size + GAP)))
    return page


def _images(settings: ImageSetSettings, part: int) -> int:
    return min(PART, settings.images - part * PART)


def _checksum(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise storage_error(path, problem) from problem


def _begun(folder: Path, settings: ImageSetSettings) -> ImageSetDocument:
    """The document of the set in `folder`, which is begun if there is none."""
    versions = {"inverse-graphics": __version__, "numpy": metadata.version("numpy")}
    wanted, found = ImageSetDocument(settings=settings, versions=versions), read_image_set_document(folder)
    if found is not None:
        if (found.settings, found.versions) != (wanted.settings, wanted.versions):
            raise DataError(
                f"{folder} holds a set made from other settings or versions: choose another folder, or "
                "delete that one"
            )
        return found
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is not empty and no set of images: choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise storage_error(folder, problem) from problem
    write_image_set_document(folder, wanted)
    return wanted


def _made(
    settings: ImageSetSettings,
    images_of_objects: MultiObjectImages,
    folder: Path,
    parts: Sequence[int],
    workers: int,
) -> Iterator[int]:
    """Make parts, giving each as it is done."""
    if workers == 1 or len(parts) <= 1:
        for part in parts:
            yield make_part(settings, images_of_objects, folder, part)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(parts)), get_context("spawn"), _start_worker, (settings, folder)
    )
    try:
        for future in as_completed([pool.submit(_make_in_worker, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool as problem:
        raise DataError(
            "a worker was killed, perhaps for want of memory: "
            "the same command with fewer workers makes what is missing"
        ) from problem
    finally:  # after Ctrl-C too: parts that are being made are finished, others are not begun
        pool.shutdown(cancel_futures=True)


_worker: tuple[ImageSetSettings, MultiObjectImages, Path]


def _start_worker(settings: ImageSetSettings, folder: Path) -> None:
    global _worker  # noqa: PLW0603 - the one way to give a pool's processes something to keep
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to all; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = settings, multi_object_images(settings), folder


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_in_worker(part: int) -> int:
    settings, images_of_objects, folder = _worker
    return make_part(settings, images_of_objects, folder, part)
