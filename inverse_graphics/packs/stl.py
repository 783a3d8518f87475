"""STL files, binary and text (3D Systems, "StereoLithography Interface Specification", 1989).

Colours: those of VisCAM and SolidView, and those of Materialise Magics, in the word behind each face.
"""

from __future__ import annotations

import re

import numpy as np

from inverse_graphics.packs.part import (
    DEFAULT_COLOUR,
    MAX_FACES,
    Floats,
    MeshFileError,
    Part,
    Parts,
    check_bound,
    check_faces,
    decode_text,
)

_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("word", "<u2")])


def read_stl(content: bytes) -> Parts:
    """Read an STL; normals come from the corners, whatever the file says.

    Raises:
        MeshFileError: broken or beyond the bounds.
    """
    return _read_text(content) if _is_text(content) else _read_binary(content)


def _is_text(content: bytes) -> bool:
    """Whether it is text: many binary files begin with "solid" too, but their size tells them."""
    if len(content) >= 84 and len(content) == 84 + 50 * int.from_bytes(content[80:84], "little"):
        return False
    start = content[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return content[:2] in (b"\xff\xfe", b"\xfe\xff") or (start.startswith(b"solid") and b"\0" not in content)


def _read_text(content: bytes) -> Parts:
    check_bound("corners", content.lower().count(b"vertex"), 4 * MAX_FACES)
    text = re.sub(r"(?im)^[ \t]*(end[ \t]*)?solid\b.*", "", decode_text(content))  # names may hold any words
    rows = re.findall(r"(?i)\bvertex\s+(\S+)\s+(\S+)\s+(\S+)", text)
    if len(rows) % 3:
        raise MeshFileError(f"it is cut short: {len(rows)} corners do not make triangles")
    check_faces(len(rows) // 3)
    try:
        corners = np.array(rows, np.float64)
    except ValueError as problem:
        raise MeshFileError(f"it has a vertex that is not three numbers: {str(problem)[:60]}") from problem
    return Parts([Part(corners.reshape(-1, 3, 3))] if rows else [])


def _read_binary(content: bytes) -> Parts:
    if len(content) < 84:
        raise MeshFileError("it is cut short: expected an STL file")
    stated, there = int.from_bytes(content[80:84], "little"), (len(content) - 84) // 50
    count = stated or there  # writers of streams leave 0
    if count > there:
        raise MeshFileError(f"it is cut short: it has {there:,} faces of {count:,}, or it is not STL")
    check_faces(count)
    faces = np.frombuffer(content, _FACE, count, 84)
    return Parts([Part(faces["corners"].astype(np.float64), _colours(content[:80], faces["word"]))])


def _colours(header: bytes, words: np.ndarray[tuple[int], np.dtype[np.uint16]]) -> Floats | None:
    """The colours (F, 3, 3) in the words, five bits a channel, if there are any."""
    whole = re.search(rb"COLOR=(.{4})", header, re.DOTALL)
    first, second, third = ((words.astype(np.int64) >> shift & 31) / 31.0 for shift in (0, 5, 10))
    if whole:  # Magics: red in the lowest bits; bit 15 stands for the colour of the whole
        own = words < 0x8000
        default, rgb = np.frombuffer(whole[1][:3], np.uint8) / 255.0, np.stack([first, second, third], -1)
    else:
        own = words >= 0x8000
        default, rgb = np.array(DEFAULT_COLOUR), np.stack([third, second, first], -1)
        if not own.any():
            return None
    colours: Floats = np.repeat(np.where(own[:, None], rgb, default)[:, None], 3, axis=1)
    return colours
