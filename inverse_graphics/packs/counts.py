"""How much a mesh file holds, or says it holds, counted before a loader spends time or memory on it."""

from __future__ import annotations

import re

MAX_FACES = 200_000
MAX_SOLIDS = 1000


def check_obj(content: bytes) -> None:
    """Refuse an OBJ with too many faces or vertices.

    Raises:
        ValueError: with one line.
    """
    _within("faces", content.count(b"\nf"), MAX_FACES)
    _within("vertices", content.count(b"\nv "), 3 * MAX_FACES)


def check_stl(content: bytes) -> None:
    """Refuse an ASCII STL with too many solids or corners; a binary one has no room for lies.

    Raises:
        ValueError: with one line.
    """
    _within("solids", content.count(b"endsolid"), MAX_SOLIDS)
    if content[:5].lower() == b"solid":
        _within("corners", content.count(b"vertex"), 3 * MAX_FACES)


def check_ply(content: bytes) -> None:
    """Refuse a PLY whose header announces too much.

    Raises:
        ValueError: with one line.
    """
    header = content[: content.find(b"end_header")]
    for name, count in re.findall(rb"element\s+(\w+)\s+(\S+)", header):
        bound = MAX_FACES if name == b"face" else 3 * MAX_FACES
        _within(f"elements '{name.decode()[:20]}'", int(count[:20]), bound)


def _within(what: str, count: int, bound: int) -> None:
    if not 0 <= count <= bound:
        raise ValueError(f"{count:,} {what}: expected at most {bound:,}")
