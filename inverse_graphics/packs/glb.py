"""Checks of a GLB file's header, before it is loaded.

The JSON header can request memory or time out of proportion to the file: accessors without data, overlapping
views, a mesh with a million instances. (glTF 2.0, sections 3.5, 3.6, 3.7 and 4.4.)
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from inverse_graphics.packs.texture import open_image

MAX_JSON_BYTES = 2**20
MAX_NODES = 1000
MAX_ITEMS = 4_000_000


class GlbError(ValueError):
    """A GLB that is broken, or exceeds the bounds of a pack's object; its text is one line."""


def check_glb(content: bytes) -> None:
    """Refuse a GLB whose header exceeds the bounds.

    Raises:
        GlbError: not GLB 2.0, compressed by an extension, or beyond the bounds.
        AssetError: an embedded image that cannot be opened.
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
    _check_images(header, content)
    used = [index for part in primitives for index in (part["attributes"]["POSITION"], part.get("indices"))]
    _within(
        "vertices and corners",
        sum(accessors[index]["count"] for index in used if index is not None),
        MAX_ITEMS,
    )


def _check_images(header: dict[str, Any], content: bytes) -> None:
    """Open every embedded image: a loader that cannot would silently leave the mesh without a texture."""
    start = 28 + struct.unpack("<I", content[12:16])[0]  # after two chunk headers and the JSON
    for number, image in enumerate(header.get("images", [])):
        if "bufferView" in image:
            view = header["bufferViews"][image["bufferView"]]
            first = start + view.get("byteOffset", 0)
            open_image(content[first : first + view["byteLength"]], f"its image {number}")
        elif "base64," in image.get("uri", ""):
            open_image(base64.b64decode(image["uri"].partition("base64,")[2]), f"its image {number}")


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
