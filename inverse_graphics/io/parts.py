"""Data sets on disk that are made part by part: in parallel, resumable, and marked complete at the end.

A data set is a folder with a document (what it was made from), parts (each written whole or not at all, and
made from the settings and its number alone) and a contact sheet. The caller defines the contents of a part.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from pydantic import BaseModel

from inverse_graphics.errors import DataError
from inverse_graphics.io.documents import read_document, validated
from inverse_graphics.io.files import atomic_write, storage_error

SHEET = "sheet.png"
SHEET_COLUMNS, SHEET_ROWS = 8, 4
SHEET_GAP = 4
"""White pixels around each image of a contact sheet."""

PartMaker = Callable[[int], object]
"""Writes the part of a given number, completely or not at all."""
Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True)
class Parts:
    """The division of a data set's images into parts, and the paths of these.

    Attributes:
        images: of the whole data set.
        images_per_part: of each part but the last, which may have fewer.
        path: file or folder of the part of a given number.
    """

    images: int
    images_per_part: int
    path: Callable[[int], Path]

    def __len__(self) -> int:
        return (self.images + self.images_per_part - 1) // self.images_per_part

    def images_in(self, part: int) -> int:
        """The number of images of a part."""
        return min(self.images_per_part, self.images - part * self.images_per_part)

    def missing(self) -> list[int]:
        """The numbers of the missing parts."""
        return [part for part in range(len(self)) if not self.path(part).exists()]

    def images_made(self) -> int:
        """The number of images in existing parts."""
        return self.images - sum(map(self.images_in, self.missing()))


def make_missing_parts(
    parts: Parts,
    make: PartMaker,
    load_maker: Callable[[], PartMaker],
    workers: int,
    advanced: Callable[[int], object],
) -> None:
    """Make the missing parts.

    After Ctrl-C, running parts are finished and no others are started.

    Args:
        parts: the division of the data set.
        make: used in this process, if `workers` is 1 or no more than one part is missing.
        load_maker: makes the same in a spawned worker process; must be picklable.
        workers: processes, from 1.
        advanced: called with the number of existing images, for the first time before a part is made.

    Raises:
        DataError: a worker was killed.
    """
    missing, done = parts.missing(), parts.images_made()
    advanced(done)
    if workers == 1 or len(missing) <= 1:
        made = _made_here(make, missing)
    else:
        made = _made_by_workers(load_maker, missing, min(workers, len(missing)))
    for part in made:
        done += parts.images_in(part)
        advanced(done)


def read_set_document(path: Path, kind: type[Document]) -> Document | None:
    """Read the document of a data set: what it was made from; None if there is none.

    Raises:
        DataError: the document is damaged.
    """
    if not path.is_file():
        return None
    return validated(kind, read_document(path, DataError), str(path), DataError)


def write_set_document(path: Path, document: BaseModel) -> None:
    """Write the document of a data set: what it was made from.

    Raises:
        StorageError: it cannot be written.
    """
    with atomic_write(path, "w") as file:
        file.write(json.dumps(document.model_dump(mode="json"), indent=2, allow_nan=False) + "\n")


def complete_set(path: Path, document: BaseModel) -> None:
    """Write the document of a data set with all parts, and remove temporary files of killed runs.

    Raises:
        StorageError: it cannot be written.
    """
    for litter in path.parent.glob(".part-*.tmp"):
        if litter.is_dir():
            shutil.rmtree(litter, ignore_errors=True)
        else:
            litter.unlink(missing_ok=True)
    write_set_document(path, document)


def begin_set(path: Path, wanted: Document, what: str, state: frozenset[str]) -> Document:
    """The document of the data set in a folder, or `wanted`, which starts a new one.

    Args:
        path: of the document; its folder is the data set's.
        wanted: the document of the requested data set.
        what: the name of the data set in messages.
        state: fields of the document for its progress, not for its contents.

    Raises:
        DataError: the folder holds something else, or a data set that was made from something else.
        StorageError: a file cannot be written.
    """
    folder = path.parent
    found = read_set_document(path, type(wanted))
    if found is not None:
        _check_equal(folder, found, wanted, what, state)
        return found
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is not empty and not a {what}: choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise storage_error(folder, problem) from problem
    write_set_document(path, wanted)
    return wanted


def read_complete_set(
    path: Path, kind: type[Document], what: str, complete: Callable[[Document], bool]
) -> Document:
    """Read the document of a data set that is complete.

    Args:
        path: of the document.
        kind: of the document.
        what: the name of the data set in messages.
        complete: whether the document states that all parts exist.

    Raises:
        DataError: there is no data set, or it is damaged or not complete.
    """
    document = read_set_document(path, kind)
    if document is None:
        raise DataError(
            f"no {what} in {path.parent}: expected a folder that `inverse-graphics data make` made"
        )
    if not complete(document):
        raise DataError(f"the {what} in {path.parent} is not complete: repeat the command that makes it")
    return document


def write_contact_sheet(file: Path, images: Iterable[Image.Image], factor: int) -> None:
    """Write a PNG of at most 32 images side by side, on white.

    Args:
        file: of the sheet.
        images: of one size and mode, at least one.
        factor: by which each is enlarged, without smoothing.

    Raises:
        StorageError: it cannot be written.
    """
    shown = [image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)
             for image in islice(images, SHEET_COLUMNS * SHEET_ROWS)]  # fmt: skip
    width, height = shown[0].width + SHEET_GAP, shown[0].height + SHEET_GAP
    columns, rows = min(len(shown), SHEET_COLUMNS), -(-len(shown) // SHEET_COLUMNS)
    sheet = Image.new(shown[0].mode, (columns * width + SHEET_GAP, rows * height + SHEET_GAP), "white")
    for index, image in enumerate(shown):
        row, column = divmod(index, SHEET_COLUMNS)
        sheet.paste(image, (SHEET_GAP + column * width, SHEET_GAP + row * height))
    with atomic_write(file) as opened:
        sheet.save(opened, format="PNG")


def _check_equal(folder: Path, found: BaseModel, wanted: BaseModel, what: str, state: frozenset[str]) -> None:
    before, now = (_leaves(document.model_dump(mode="json")) for document in (found, wanted))
    keys = sorted(key for key in before | now if before.get(key) != now.get(key) and key not in state)
    if keys:
        first, more = keys[0], f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        raise DataError(
            f"{folder} holds a {what} with {first} {before.get(first)}, not {now.get(first)}{more}: "
            "choose another folder, or delete that one"
        )


def _leaves(value: Any, name: str = "") -> dict[str, object]:
    """Nested mappings as one with dotted keys; keys of the settings without their prefix."""
    if not isinstance(value, dict):
        return {name.removeprefix("settings."): value}
    nested = (_leaves(entry, f"{name}.{key}" if name else str(key)) for key, entry in value.items())
    return {key: leaf for leaves in nested for key, leaf in leaves.items()}


def _made_here(make: PartMaker, parts: Sequence[int]) -> Iterator[int]:
    for part in parts:
        make(part)
        yield part


def _made_by_workers(
    load_maker: Callable[[], PartMaker], parts: Sequence[int], workers: int
) -> Iterator[int]:
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (load_maker,))
    try:
        for future in as_completed([pool.submit(_make_in_worker, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool as problem:
        raise DataError(
            "a worker was killed, perhaps because memory was exhausted: "
            "the same command with fewer workers makes what is missing"
        ) from problem
    finally:
        pool.shutdown(cancel_futures=True)


_maker_of_worker: PartMaker


def _start_worker(load_maker: Callable[[], PartMaker]) -> None:
    global _maker_of_worker  # noqa: PLW0603 - the one way to give a pool's processes something to keep
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to all; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _maker_of_worker = load_maker()


def _end_with_parent() -> None:
    """End this process when its parent has ended: a killed parent cannot end its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_in_worker(part: int) -> int:
    _maker_of_worker(part)
    return part
