"""Published data sets by name: listing and fetching their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from inverse_graphics.data import dsprites, mnist, omniglot
from inverse_graphics.data.store import Resource, locate, read_resource
from inverse_graphics.errors import DataError

PUBLISHED: dict[str, tuple[Resource, ...]] = {
    "mnist": mnist.FILES,
    "omniglot": omniglot.FILES,
    "dsprites": (dsprites.PUBLISHED,),
}


class FoundFile(NamedTuple):
    """A published file.

    Attributes:
        name: in a data folder.
        path: on this machine; None if it is missing.
        size: unpacked, bytes.
        sha256: of the unpacked bytes.
    """

    name: str
    path: str | None
    size: int
    sha256: str


def known_files(names: Sequence[str] = ()) -> Iterator[FoundFile]:
    """List the files of data sets, by default of all, without fetching.

    Raises:
        DataError: one of the names is not known.
    """
    for resource in _resources(names):
        yield _found(resource)


def fetch_files(names: Sequence[str] = ()) -> Iterator[FoundFile]:
    """Fetch the missing files of data sets, by default of all, and verify all files.

    Raises:
        DataError: a name is not known, or a file cannot be fetched, or is not the published one.
        StorageError: a file cannot be written.
    """
    for resource in _resources(names):
        read_resource(resource)
        yield _found(resource)


def _found(resource: Resource) -> FoundFile:
    path = locate(resource)
    return FoundFile(resource.name, None if path is None else str(path), resource.size, resource.sha256)


def _resources(names: Sequence[str]) -> list[Resource]:
    for name in names:
        if name not in PUBLISHED:
            near = get_close_matches(name, PUBLISHED, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise DataError(f"no published data set {name!r}: {hint}known: {', '.join(PUBLISHED)}")
    return [resource for name in names or PUBLISHED for resource in PUBLISHED[name]]
