"""The idx format in which MNIST is published: a typed array behind a short big-endian header."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.errors import DataError

UNSIGNED_BYTE = 0x08
LARGEST_FILE = 256 * 2**20
"""Bytes of a plain idx file beyond which reading stops: five times MNIST's largest file."""


def unpack(file: IO[bytes], source: str, limit: int = LARGEST_FILE) -> bytes:
    """The content of an open file, unpacked if it is gzip; `source` names the file in errors.

    Raises:
        DataError: it cannot be read, is a broken gzip file, or holds more than `limit` bytes.
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
    """The content of a file, unpacked if it is gzip; never more than `limit` bytes.

    Raises:
        DataError: the file cannot be read, is a broken gzip file, or holds more than `limit` bytes.
    """
    try:
        with path.open("rb") as file:
            return unpack(file, str(path), limit)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; provide the file again") from error


def parse_idx(content: bytes, source: str) -> NDArray[np.uint8]:
    """The array of unsigned bytes in the bytes of an idx file; `source` names the file in errors.

    Raises:
        DataError: wrong magic number, another element type, or more or fewer bytes than the header says.
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
            f"{source} holds {len(content) - start} elements: its header says {shape}; provide it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_idx(path: Path, limit: int = LARGEST_FILE) -> NDArray[np.uint8]:
    """The array in an idx file, gzip or plain.

    Raises:
        DataError: the file cannot be read or is not a whole idx file of unsigned bytes.
    """
    return parse_idx(read_bytes(path, limit), str(path))


def pack_idx(array: NDArray[np.uint8]) -> bytes:
    """The bytes of a gzip idx file of `array`; equal arrays give equal bytes."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as file:
        file.write(header + array.tobytes())
    return packed.getvalue()
