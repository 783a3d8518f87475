"""Fetching one file over https: bounded in time and size, checked before it is stored."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO

from inverse_graphics.errors import DataError
from inverse_graphics.files import atomic_write, storage_error

SILENCE_SECONDS = 20.0
"""An address that says nothing for so long is given up."""
LONGEST_SECONDS = 600.0
"""One fetch may take so long in all."""
CHUNK = 1 << 16

Check = Callable[[bytes], None]
"""Raises DataError if fetched bytes are not what they should be."""


def download(urls: Sequence[str], target: Path, *, largest: int, check: Check) -> None:
    """Store as `target` the first of `urls` that gives at most `largest` bytes which pass `check`.

    `target` appears whole or not at all; its folder is made if need be. A count goes to a terminal's stderr.

    Raises:
        DataError: no address gave the file; the text tells each address's reason.
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
    """Read to the end; `total` is what the address promises, 0 where it promises nothing."""
    content = bytearray()
    begun = time.monotonic()
    while chunk := response.read(CHUNK):
        content += chunk
        if len(content) > largest:
            raise DataError(f"gave more than {largest} bytes")
        if time.monotonic() - begun > LONGEST_SECONDS:
            raise DataError(f"took longer than {LONGEST_SECONDS:.0f} s")
        _show(name, len(content), total)
    if total and len(content) != total:
        raise DataError(f"ended after {len(content)} of {total} bytes")
    return bytes(content)


def _show(name: str, done: int, total: int) -> None:
    """Count up on one line of a terminal; say nothing anywhere else."""
    if sys.stderr.isatty():
        share = f"{100 * done // total:3d} %" if total else f"{done // 1024} KiB"
        sys.stderr.write(f"\rfetching {name}  {share}" + ("\n" if done == total else ""))
        sys.stderr.flush()
