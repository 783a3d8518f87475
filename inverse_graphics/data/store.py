"""Where data is found: a folder that the user names, else the user's cache, else the public mirrors."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

from inverse_graphics.data.download import download
from inverse_graphics.data.idx import read_bytes, unpack
from inverse_graphics.errors import DataError

FOLDER_VARIABLE = "INVERSE_GRAPHICS_DATA"


@dataclass(frozen=True)
class Resource:
    """One published file.

    name: its place in a data folder, without .gz, such as "mnist/train-images-idx3-ubyte".
    sha256, size: of the *unpacked* bytes, so that any re-compression is accepted.
    urls: where a gzip copy is published, in the order in which they are tried.
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
    """The folders in which data is looked for, first to last."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    return (*((Path(named).expanduser(),) if named else ()), cache_folder())


def locate(resource: Resource) -> Path | None:
    """The file of `resource` on this machine, gzip or plain; None where there is none."""
    for folder in search_folders():
        for name in (f"{resource.name}.gz", resource.name):
            if (folder / name).is_file():
                return folder / name
    return None


def read_resource(resource: Resource) -> bytes:
    """The unpacked, verified bytes of `resource`; fetched into the user's cache if it is nowhere else.

    Raises:
        DataError: not on this machine and not to be had, or not the published file.
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
            f"data file {resource.name} is missing: looked for {looked} (also with .gz) and could not fetch "
            f"it ({error}); set {FOLDER_VARIABLE} to a folder that holds {resource.name}.gz"
        ) from error
    return target
