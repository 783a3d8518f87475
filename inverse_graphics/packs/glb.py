"""What a GLB file promises, checked before a loader believes it.

The JSON in front of the data can ask for memory or time that its bytes never pay for: accessors without data,
overlapping views, one mesh drawn a million times. (glTF 2.0, sections 3.5, 3.6, 3.7 and 4.4.)
"""

from __future__ import annotations

import json
import struct
from typing import Any

MAX_JSON_BYTES = 2**20
MAX_NODES = 1000
MAX_ITEMS = 4_000_000


class GlbError(ValueError):
    """A GLB that is broken, or asks for more than a pack's object may have; its text is one line."""


def check_glb(content: bytes) -> None:
    """Refuse a GLB whose header promises too much.

    Raises:
        GlbError: not GLB 2.0, compressed by an extension, or beyond the bounds.
    """
    header = _header(content)
    if header.get("extensionsRequired"):
        needed = ", ".join(str(name) for name in header["extensionsRequired"])[:100]
        raise GlbError(f"needs the glTF extensions {needed}: export it without compression")
    _within("nodes", len(header.get("nodes", [])), MAX_NODES)
    accessors = header.get("accessors", [])
    _within("values", sum(_count(accessor["count"]) for accessor in accessors), MAX_ITEMS)
    views = sum(_count(view["byteLength"]) for view in header.get("bufferViews", []))
    _within("bytes in its views", views, 4 * len(content))
    primitives = [part for mesh in header.get("meshes", []) for part in mesh["primitives"]]
    _within("mesh parts", len(primitives), MAX_NODES)
    if any(part.get("extensions") for part in primitives):
        raise GlbError("has parts in a glTF extension: export it without compression")
    used = [index for part in primitives for index in (part["attributes"]["POSITION"], part.get("indices"))]
    _within(
        "vertices and corners",
        sum(accessors[index]["count"] for index in used if index is not None),
        MAX_ITEMS,
    )


def _header(content: bytes) -> dict[str, Any]:
    if len(content) < 20:
        raise GlbError("is cut short: expected a GLB file")
    magic, version, _, length, kind = struct.unpack("<4sIII4s", content[:20])
    if magic != b"glTF" or version != 2 or kind != b"JSON":
        raise GlbError("is not a GLB file of glTF 2.0")
    _within("bytes of JSON", length, MAX_JSON_BYTES)
    if len(content) < 20 + length:
        raise GlbError("is cut short: expected a GLB file")
    header: dict[str, Any] = json.loads(content[20 : 20 + length])
    return header


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise GlbError(f"has a count of {str(value)[:40]}: expected a whole number")
    return value


def _within(what: str, value: int, bound: int) -> None:
    if value > bound:
        raise GlbError(f"has {value:,} {what}: expected at most {bound:,}")
