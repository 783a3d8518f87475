"""Storage of data files: shipped arrays, local files, and downloads.

A published file is searched in a folder that the user names, then in the user's cache, and otherwise fetched
over https from public mirrors, bounded in time and size, and verified before it is stored. Arrays that ship
with the package, in assets/data, have MNIST's idx format: a typed array after a short big-endian header.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import struct
import sys
import time
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.errors import DataError
from inverse_graphics.io.files import atomic_write, storage_error

UNSIGNED_BYTE = 0x08
LARGEST_FILE = 256 * 2**20
"""Largest accepted idx file, unpacked, bytes: five times MNIST's largest file."""


def unpack(file: IO[bytes], source: str, limit: int = LARGEST_FILE) -> bytes:
    """Read an open file, unpacked if it is gzip; `source` names the file in errors.

    Raises:
        DataError: it cannot be read, is a broken gzip file, or has more than `limit` bytes.
    """
    try:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        content = gzip.GzipFile(fileobj=file).read(limit + 1) if packed else file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {source}: {error}; provide the file again") from error
    if len(content) > limit:
        raise DataError(f"{source} holds more than the {limit} bytes expected; provide the original file")
    return content


def read_bytes(path: Path, limit: int = LARGEST_FILE) -> bytes:
    """Read a file, unpacked if it is gzip, of at most `limit` bytes.

    Raises:
        DataError: the file cannot be read, is a broken gzip file, or has more than `limit` bytes.
    """
    try:
        with path.open("rb") as file:
            return unpack(file, str(path), limit)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; provide the file again") from error


def parse_idx(content: bytes, source: str) -> NDArray[np.uint8]:
    """Parse the contents of an idx file of unsigned bytes; `source` names the file in errors.

    Raises:
        DataError: wrong magic number, another element type, or a size that differs from the header's.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise DataError(
            f"{source} starts with {content[:4].hex() or 'nothing'}: expected an idx file of unsigned bytes "
            "(000008..); provide the original file"
        )
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise DataError(f"{source} ends inside its header of {dimensions} dimensions; provide it again")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{source} holds {len(content) - start} elements: its header gives {shape}; provide it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_idx(path: Path, limit: int = LARGEST_FILE) -> NDArray[np.uint8]:
    """Read an idx file, gzip or plain.

    Raises:
        DataError: the file cannot be read or is not a complete idx file of unsigned bytes.
    """
    return parse_idx(read_bytes(path, limit), str(path))


def pack_idx(array: NDArray[np.uint8]) -> bytes:
    """Encode `array` as a gzip idx file; equal arrays give equal bytes."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as file:
        file.write(header + array.tobytes())
    return packed.getvalue()


def read_shipped(name: str) -> NDArray[np.uint8]:
    """Read the shipped array `name`, such as "mnist_small/train-images".

    Raises:
        DataError: the package is damaged.
    """
    file = resources.files("inverse_graphics.assets") / f"data/{name}.gz"
    with resources.as_file(file) as path:
        return parse_idx(read_bytes(path), str(path))


def write_shipped(name: str, array: NDArray[np.uint8]) -> None:
    """Write a shipped array again; equal arrays give equal files.

    Raises:
        StorageError: it cannot be written.
    """
    with resources.as_file(resources.files("inverse_graphics.assets")) as assets:
        (assets / f"data/{name}.gz").parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(assets / f"data/{name}.gz") as file:
            file.write(pack_idx(array))


SILENCE_SECONDS = 20.0
"""Timeout of an address that sends nothing."""
LONGEST_SECONDS = 600.0
"""Timeout of one fetch."""
CHUNK = 1 << 16

Check = Callable[[bytes], None]
"""Raises DataError if fetched bytes are not the expected ones."""


def download(urls: Sequence[str], target: Path, *, largest: int, check: Check) -> None:
    """Store as `target` the first of `urls` that gives at most `largest` bytes which pass `check`.

    The file is written atomically; its folder is created if necessary. Progress is shown on stderr if it is a
    terminal.

    Raises:
        DataError: no address gave the file; the message has the reason for each address.
        StorageError: the file was fetched but cannot be written.
    """
    content = _first(urls, largest, check)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(target, error) from error
    with atomic_write(target) as file:
        file.write(content)


def _first(urls: Sequence[str], largest: int, check: Check) -> bytes:
    reasons = []
    for url in urls:
        try:
            content = _download(url, largest)
            check(content)
        except (DataError, OSError, HTTPException, ValueError) as error:
            reasons.append(f"{url}: {getattr(error, 'reason', None) or error}")
        else:
            return content
    raise DataError("; ".join(reasons) or "no address is known")


def _download(url: str, largest: int) -> bytes:
    if not url.startswith("https://"):
        raise DataError("not an https address")
    with urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as response:  # noqa: S310 - https, see above
        if not response.url.startswith("https://"):
            raise DataError(f"redirected to {response.url}, which is not https")
        total = int(response.headers.get("Content-Length") or 0)
        return _read(response, Path(url).name, largest, total)


def _read(response: IO[bytes], name: str, largest: int, total: int) -> bytes:
    """Read to the end; `total` is the announced size, 0 if there is none."""
    content = bytearray()
    start = time.monotonic()
    while chunk := response.read(CHUNK):
        content += chunk
        if len(content) > largest:
            raise DataError(f"gave more than {largest} bytes")
        if time.monotonic() - start > LONGEST_SECONDS:
            raise DataError(f"took longer than {LONGEST_SECONDS:.0f} s")
        _show(name, len(content), total)
    if total and len(content) != total:
        raise DataError(f"ended after {len(content)} of {total} bytes")
    return bytes(content)


def _show(name: str, done: int, total: int) -> None:
    """Show progress on one line of a terminal; elsewhere print nothing."""
    if sys.stderr.isatty():
        share = f"{100 * done // total:3d} %" if total else f"{done // 1024} KiB"
        sys.stderr.write(f"\rfetching {name}  {share}" + ("\n" if done == total else ""))
        sys.stderr.flush()


FOLDER_VARIABLE = "INVERSE_GRAPHICS_DATA"


@dataclass(frozen=True)
class Resource:
    """One published file.

    Attributes:
        name: its path in a data folder, without .gz, such as "mnist/train-images-idx3-ubyte".
        sha256: of the *unpacked* bytes, so that any compression is accepted.
        size: of the unpacked bytes.
        urls: of gzip copies, in the order in which they are requested.
    """

    name: str
    sha256: str
    size: int
    urls: tuple[str, ...]


def cache_folder() -> Path:
    """The user's cache for this package: $XDG_CACHE_HOME, or ~/.cache, /inverse_graphics."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "inverse_graphics"


def search_folders() -> tuple[Path, ...]:
    """The folders in which data is searched, in order."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    return (*((Path(named).expanduser(),) if named else ()), cache_folder())


def locate(resource: Resource) -> Path | None:
    """Locate the file of `resource` on this machine, gzip or plain; None if there is none."""
    for folder in search_folders():
        for name in (f"{resource.name}.gz", resource.name):
            if (folder / name).is_file():
                return folder / name
    return None


def read_resource(resource: Resource) -> bytes:
    """Read the unpacked, verified bytes of `resource`; fetched into the user's cache if it is missing.

    Raises:
        DataError: not on this machine and cannot be fetched, or not the published file.
    """
    path = locate(resource) or _fetch(resource)
    content = read_bytes(path, limit=resource.size)
    _verify(content, resource, str(path))
    return content


def _verify(content: bytes, resource: Resource, source: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != resource.sha256:
        raise DataError(
            f"{source} is not the published {Path(resource.name).name}: {len(content)} unpacked bytes with "
            f"sha256 {found[:12]}…, expected {resource.size} with {resource.sha256[:12]}…; replace the file"
        )


def _fetch(resource: Resource) -> Path:
    target = cache_folder() / f"{resource.name}.gz"

    def check(packed: bytes) -> None:
        _verify(unpack(io.BytesIO(packed), "what came", resource.size), resource, "what came")

    try:
        download(resource.urls, target, largest=resource.size, check=check)
    except DataError as error:
        looked = " and ".join(str(folder / resource.name) for folder in search_folders())
        raise DataError(
            f"data file {resource.name} is missing: searched {looked} (also with .gz) and could not fetch "
            f"it ({error}); set {FOLDER_VARIABLE} to a folder that holds {resource.name}.gz"
        ) from error
    return target
