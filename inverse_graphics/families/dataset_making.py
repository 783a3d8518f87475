"""Making a data set: parts in parallel, begun where an earlier run stopped.

The first pictures of a data set side by side.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from multiprocessing import get_context, parent_process
from pathlib import Path

import torch
from PIL import Image

from inverse_graphics import __version__
from inverse_graphics.errors import DataError
from inverse_graphics.families.dataset import (
    PART,
    SHEET,
    Dataset,
    DatasetDocument,
    DatasetSettings,
    part_folder,
    read_dataset_document,
    write_dataset_document,
)
from inverse_graphics.families.dataset_part import PartMaker
from inverse_graphics.io.files import atomic_write, storage_error
from inverse_graphics.packs.pack import Pack

COLUMNS, ROWS = 8, 4
CELL = 128
"""The least side of a picture on the sheet, pixels; small pictures are enlarged by whole numbers."""
GAP = 4


def contact_sheet(dataset: Dataset) -> Image.Image:
    """Lay out the first 32 pictures, each pixel as it is."""
    count = min(len(dataset), COLUMNS * ROWS)
    size = dataset.document.settings.family.image_size
    side = size * max(1, -(-CELL // size))
    columns, rows = min(count, COLUMNS), -(-count // COLUMNS)
    sheet = Image.new("RGB", (columns * (side + GAP) + GAP, rows * (side + GAP) + GAP), "white")
    for index in range(count):
        row, column = divmod(index, COLUMNS)
        with Image.open(dataset.path("images", index)) as picture:
            enlarged = picture.resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (GAP + column * (side + GAP), GAP + row * (side + GAP)))
    return sheet


Advanced = Callable[[int], None]


def make_dataset(
    settings: DatasetSettings,
    folder: Path | str,
    workers: int = 1,
    packs: Sequence[Pack] = (),
    advanced: Advanced | None = None,
) -> Dataset:
    """Make a data set, or what is still missing of it; its bytes do not depend on the number of workers.

    workers: processes that draw, each on one thread; 1 draws in this process. More are spawned, so a script
    calls this under `if __name__ == "__main__":`.  packs: one's own; shipped ones need not be given.
    advanced: called with the number of images that are there. Ctrl-C leaves what is finished; the same call
    goes on.

    Raises:
        DataError: something else lies in the folder, or a data set of other settings; or a worker was killed.
        AssetError, SceneError, EngineError: what the settings name cannot be used.
        StorageError: a file cannot be written.
    """
    folder = Path(folder)
    maker = PartMaker.from_settings(settings, packs)
    document = _begun(folder, settings, maker.family.packs_hash)
    missing = _missing(settings, folder)
    progress = _Progress(settings, missing, advanced)
    if workers == 1 or len(missing) <= 1:
        _make_here(maker, folder, missing, progress)
    else:
        _make_in_processes(settings, packs, folder, missing, min(workers, len(missing)), progress)
    if not document.complete:
        document = document.model_copy(update={"complete": True})
        with atomic_write(folder / SHEET) as file:
            contact_sheet(Dataset(folder, document)).save(file, format="PNG")
        for litter in folder.glob(".part-*.tmp"):  # of runs that were killed
            shutil.rmtree(litter, ignore_errors=True)
        write_dataset_document(folder, document)
    return Dataset(folder, document)


def images_made(settings: DatasetSettings, folder: Path | str) -> int:
    """Count the images that are there already."""
    return settings.images - _images(settings, _missing(settings, Path(folder)))


def _missing(settings: DatasetSettings, folder: Path) -> list[int]:
    return [part for part in range(settings.parts) if not part_folder(folder, part).is_dir()]


def _images(settings: DatasetSettings, parts: Iterable[int]) -> int:
    return sum(min(PART, settings.images - part * PART) for part in parts)


class _Progress:
    """Counts images as parts are done."""

    def __init__(self, settings: DatasetSettings, missing: Sequence[int], advanced: Advanced | None) -> None:
        self._done, self._advanced = settings.images - _images(settings, missing), advanced
        self.add(0)

    def add(self, images: int) -> None:
        self._done += images
        if self._advanced is not None:
            self._advanced(self._done)


def _begun(folder: Path, settings: DatasetSettings, packs_hash: str) -> DatasetDocument:
    """The document of the data set in `folder`, which is begun if there is none."""
    wanted = DatasetDocument(settings=settings, packs_hash=packs_hash, versions=_versions())
    found = read_dataset_document(folder)
    if found is not None:
        _check_alike(folder, found, wanted)
        return found
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is not empty and no data set: choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise storage_error(folder, problem) from problem
    write_dataset_document(folder, wanted)
    return wanted


def _check_alike(folder: Path, found: DatasetDocument, wanted: DatasetDocument) -> None:
    before, now = (_leaves(document.model_dump(mode="json")) for document in (found, wanted))
    keys = sorted(key for key in before | now if before.get(key) != now.get(key) and key != "complete")
    if keys:
        first, more = keys[0], f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
        raise DataError(
            f"{folder} holds a data set with {first} {before.get(first)}, not {now.get(first)}{more}: "
            "choose another folder, or delete that one"
        )


def _leaves(value: object, name: str = "") -> dict[str, object]:
    """Nested mappings as one, with dotted keys; what the settings hold without their prefix."""
    if not isinstance(value, dict):
        return {name.removeprefix("settings."): value}
    nested = (_leaves(entry, f"{name}.{key}" if name else str(key)) for key, entry in value.items())
    return {key: leaf for leaves in nested for key, leaf in leaves.items()}


def _versions() -> dict[str, str]:
    return {"inverse-graphics": __version__} | {name: metadata.version(name) for name in ("torch", "numpy")}


def _make_here(maker: PartMaker, folder: Path, parts: Iterable[int], progress: _Progress) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker: sums in another order could round otherwise
    try:
        for part in parts:
            progress.add(maker.make(folder, part))
    finally:
        torch.set_num_threads(threads)


def _make_in_processes(
    settings: DatasetSettings,
    packs: Sequence[Pack],
    folder: Path,
    parts: Sequence[int],
    workers: int,
    progress: _Progress,
) -> None:
    own = [pack.folder for pack in packs]
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (settings, own, folder))
    try:
        for future in as_completed([pool.submit(_make_in_worker, part) for part in parts]):
            progress.add(future.result())
    except BrokenProcessPool as problem:
        raise DataError(
            "a worker was killed, perhaps for want of memory: "
            "the same command with fewer workers makes what is missing"
        ) from problem
    finally:  # after Ctrl-C too: parts that are being made are finished, others are not begun
        pool.shutdown(cancel_futures=True)


_worker: tuple[PartMaker, Path]


def _start_worker(settings: DatasetSettings, packs: Sequence[Path], folder: Path) -> None:
    global _worker  # noqa: PLW0603 - the one way to give a pool's processes something to keep
    from inverse_graphics.packs.pack import load_pack

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to all; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _worker = PartMaker.from_settings(settings, [load_pack(pack) for pack in packs]), folder


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_in_worker(part: int) -> int:
    maker, folder = _worker
    return maker.make(folder, part)
