"""Textures, decoded only after their size is checked, and file access that is confined to a pack's folder."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.errors import AssetError

MAX_FILE_BYTES = 32 * 2**20


def read_confined(folder: Path, name: str) -> bytes:
    """Read the file `name`, a relative path with forward slashes, inside `folder`.

    Raises:
        AssetError: the name leads out of the folder (.., an absolute path, a drive, a link), or the file is
            missing, is not a plain file, is larger than 32 MiB or cannot be read.
    """
    path = _resolved(folder, name)
    if not path.is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise AssetError(f"file '{_shown(name)}' {kind}: expected it in the pack's folder {folder}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise AssetError(f"file '{_shown(name)}' cannot be read: {problem.strerror}") from problem
    if len(content) > MAX_FILE_BYTES:
        raise AssetError(
            f"file '{_shown(name)}' is larger than {MAX_FILE_BYTES // 2**20} MiB: make it smaller"
        )
    return content


def _resolved(folder: Path, name: str) -> Path:
    """The absolute path of `name`, with links resolved."""
    relative = PurePosixPath(name)
    leads_out = relative.is_absolute() or ".." in relative.parts or any(c in name for c in '\\:\0"')
    root = folder.resolve()
    try:
        path = (root / relative).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, an invalid name
        leads_out = True
    if leads_out or not path.is_relative_to(root):
        raise AssetError(f"file '{_shown(name)}' lies outside the pack: expected a path inside {folder}")
    return path


def _shown(name: str) -> str:
    plain = "".join(character if character.isprintable() else "?" for character in name)
    return plain if len(plain) <= 80 else plain[:77] + "..."


MAX_TEXTURE_SIDE = 4096
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TGA", "TIFF", "WEBP")
"""Pillow's raster formats; for others, such as EPS, it starts a program that executes the file."""
_EXPECTED = f"expected at most {MAX_TEXTURE_SIDE}×{MAX_TEXTURE_SIDE}, make it smaller"


def read_texture(folder: Path, name: str) -> NDArray[np.float32]:
    """Read an image inside `folder` as a texture: (Ht, Wt, 3) in [0, 1].

    Raises:
        AssetError: missing, outside the folder, not an image, or larger than 4096 pixels a side.
    """
    return decode_texture(open_image(read_confined(folder, name), f"texture '{name}'"))


def decode_texture(image: Image.Image) -> NDArray[np.float32]:
    """Decode an image, of which only the header has been read, to a texture within bounds.

    Raises:
        AssetError: larger than 4096 pixels a side, or its pixels cannot be read.
    """
    width, height = image.size
    if not (0 < width <= MAX_TEXTURE_SIDE and 0 < height <= MAX_TEXTURE_SIDE):
        raise AssetError(f"texture of {width}×{height} pixels: {_EXPECTED}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of palettes and broken colour profiles
            pixels = np.asarray(image.convert("RGB"))
    except Exception as problem:
        raise AssetError("the texture's pixels cannot be read: save it again as PNG or JPEG") from problem
    return (pixels / np.float32(255)).astype(np.float32)


def open_image(content: bytes, what: str) -> Image.Image:
    """Read the header of an image; its pixels are decoded later, after its size is checked.

    Raises:
        AssetError: the bytes are no image, or one of far too many pixels; the message begins with `what`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; `decode_texture` refuses them
            return Image.open(BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as problem:
        raise AssetError(f"{what} has far too many pixels: {_EXPECTED}") from problem
    except Exception as problem:
        raise AssetError(f"{what} is not an image that can be read: use PNG or JPEG") from problem
