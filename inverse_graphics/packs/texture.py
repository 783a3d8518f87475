"""Pictures on meshes: decoded only after their size is known."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.confined import read_confined

MAX_TEXTURE_SIDE = 4096
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TGA", "TIFF", "WEBP")
"""Those of Pillow's that are pixels; for EPS, say, it starts a program that runs what the file says."""
_EXPECTED = f"expected at most {MAX_TEXTURE_SIDE}×{MAX_TEXTURE_SIDE}, make it smaller"


def read_texture(folder: Path, name: str) -> NDArray[np.float32]:
    """Read an image inside `folder` as a texture: (Ht, Wt, 3) in [0, 1].

    Raises:
        AssetError: missing, outside the folder, not an image, or larger than 4096 pixels a side.
    """
    return decode_texture(open_image(read_confined(folder, name), f"texture '{name}'"))


def decode_texture(image: Image.Image) -> NDArray[np.float32]:
    """Turn an opened image, of which only the header is known, into a texture within bounds.

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
        raise AssetError("the texture's pixels cannot be read: save it anew as PNG or JPEG") from problem
    return (pixels / np.float32(255)).astype(np.float32)


def open_image(content: bytes, what: str) -> Image.Image:
    """Read the header of an image; its pixels come later, when its size has been checked.

    Raises:
        AssetError: the bytes are no image, or one of far too many pixels; `what` begins the line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; `decode_texture` refuses them
            return Image.open(BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as problem:
        raise AssetError(f"{what} has far too many pixels: {_EXPECTED}") from problem
    except Exception as problem:
        raise AssetError(f"{what} is not an image that can be read: use PNG or JPEG") from problem
