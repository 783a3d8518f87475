"""Atomic writes of files and folders: a reader never sees one that is incomplete."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from inverse_graphics.errors import StorageError

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space"),
    errno.EROFS: ("the file system is read-only", "choose another place"),
    errno.EACCES: ("permission denied", "choose a place that you may write to"),
    errno.EPERM: ("permission denied", "choose a place that you may write to"),
    errno.ENOENT: ("its folder does not exist", "make the folder first"),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "choose another place"),
    errno.EISDIR: ("a folder stands in its place", "choose another name"),
    errno.EEXIST: ("a file stands in its place", "choose another name"),
    errno.ENAMETOOLONG: ("its name is too long", "choose a shorter one"),
}


def storage_error(path: Path, error: OSError) -> StorageError:
    """Build an error of one line that states why `path` could not be written and what to do."""
    reason, advice = _REASONS.get(error.errno or 0, (error.strerror or str(error), "check the disk"))
    return StorageError(f"cannot write {path}: {reason}; {advice}")


@contextmanager
def atomic_write(
    path: Path | str, mode: Literal["w", "wb"] = "wb", *, encoding: str | None = None
) -> Iterator[IO[Any]]:
    """Open a file for writing that appears under its name only if the block succeeds.

    The block writes to a temporary file in the same folder, which is synchronised to the disk and then
    renamed to `path`. After any failure, Ctrl-C included, it is removed and a previous file at `path` is
    unchanged. Links are followed, an existing file keeps its permissions, and anything but a regular file
    (a pipe, /dev/stdout) is written directly. Text is UTF-8.

    Raises:
        StorageError: the file cannot be written: a full or read-only disk, no folder, a folder in its place.
    """
    if "b" not in mode:
        encoding = encoding or "utf-8"
    with _raising_storage_error(Path(path)):
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            with target.open(mode, encoding=encoding) as file:
                yield file
            return
        with _removed_on_failure(_temporary_sibling(target)) as temporary:
            with temporary.open(mode.replace("w", "x"), encoding=encoding) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, temporary)
            temporary.replace(target)
        _synchronise_folder(target.parent)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder whose contents appear under `path` only if the block succeeds.

    An existing folder at `path` is replaced as a whole: it is renamed, the new one gets its name, and only
    then is the old one deleted. After any failure the old folder is unchanged or restored.

    Raises:
        StorageError: the folder cannot be written: a full or read-only disk, no parent, a file in its place.
    """
    with _raising_storage_error(Path(path)):
        target = Path(path).resolve()
        if target.exists() and not target.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        with _removed_on_failure(_temporary_sibling(target)) as temporary:
            temporary.mkdir()
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _synchronise_file(file)
            _exchange(temporary, target)
        _synchronise_folder(target.parent)


class FileNames:
    """Files of a folder that are named after images; names that recur are numbered.

    Args:
        folder: made with the first file.
        suffix: of the files, with its dot.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder, self._suffix = folder, suffix
        self._used: set[str] = set()

    def path_for(self, image: str) -> Path:
        """The file for an image, named after its path; a new one for each call.

        Raises:
            StorageError: the folder cannot be made.
        """
        if not self._used:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise storage_error(self._folder, error) from error
        stem = Path(image).stem
        name, number = stem, 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name)
        return self._folder / f"{name}{self._suffix}"


@contextmanager
def _raising_storage_error(path: Path) -> Iterator[None]:
    """Convert an OSError about `path` to a StorageError; one that names another file passes unchanged."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _is_beside(Path(os.fsdecode(error.filename)), path):
            raise
        raise storage_error(path, error) from error


def _is_beside(file: Path, path: Path) -> bool:
    """Whether `file` is `path`, its temporary sibling, or inside it."""
    target = path.resolve()
    return target == file or target.parent in (file.parent, *file.parents)


@contextmanager
def _removed_on_failure(temporary: Path) -> Iterator[Path]:
    try:
        yield temporary
    except BaseException:  # Ctrl-C must not leave temporary files either
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


def _temporary_sibling(target: Path) -> Path:
    """Name a temporary sibling: on the same file system, so that renaming is atomic."""
    return target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")


def _exchange(new: Path, target: Path) -> None:
    """Rename folder `new` to `target`; an existing target is deleted only after that."""
    old = _temporary_sibling(target)
    existed = target.exists()
    if existed:
        target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        if existed:
            old.rename(target)
        raise
    if existed:
        shutil.rmtree(old, ignore_errors=True)


def _synchronise_file(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _synchronise_folder(folder: Path) -> None:
    """Make a rename durable; on file systems that cannot synchronise a folder it already is."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
