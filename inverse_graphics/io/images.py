"""Image files in and out.

Pixels are taken as they are stored, with no change of colour space: 0 becomes 0 and the largest value 1.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from inverse_graphics.errors import ImageError
from inverse_graphics.io.files import atomic_write

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".webp": "WEBP"}
"""The formats read and written, by suffix; reading goes by the contents, not by the name."""
MIN_SIDE = 8
MAX_SIDE = 8192
MAX_PIXELS = 40_000_000
MAX_BYTES = 256 * 2**20
_BLOCK = 2**20

PALETTE = (
    (0, 0, 0), (230, 97, 1), (94, 60, 153), (27, 158, 119), (231, 41, 138), (102, 166, 30), (230, 171, 2),
    (55, 126, 184), (166, 118, 29), (153, 214, 234), (251, 154, 153), (128, 128, 128),
    (220, 190, 255), (255, 225, 25), (170, 255, 195), (150, 30, 30), (70, 240, 240), (255, 215, 180),
    (128, 128, 0), (240, 50, 230), (70, 100, 220),
)  # fmt: skip
"""Colours of a mask: black where there is no object, then one for each, repeated from the second."""


def read_image(path: Path | str) -> NDArray[np.float32]:
    """Read an image file as (H, W, 3) float32 in [0, 1], upright.

    8 and 16 bit, grey, palette and colour are accepted (Pillow reduces 16-bit colour to 8 bits); what is
    transparent is laid over black; EXIF orientation is applied; of an animation the first frame counts.

    Raises:
        ImageError: no such file, a folder, empty, not an image, damaged, or not between 8×8 pixels and
            8192 pixels a side and 40 megapixels, which is checked before anything is decoded.
    """
    path = Path(path)
    content = _read_bytes(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bounds below are tighter than Pillow's warning
        try:
            with Image.open(io.BytesIO(content), formats=tuple(set(FORMATS.values()))) as image:
                _check_size(image.size, path)
                return _as_rgb(_upright(image))
        except Image.DecompressionBombError as problem:
            raise ImageError(f"{path} is too large: expected {_bounds()}; scale it down") from problem
        except UnidentifiedImageError as problem:
            raise ImageError(f"{path} is not an image: expected {_names()}") from problem
        except ImageError:
            raise
        except Exception as problem:  # a decoder raises whatever it stumbles over
            reason = " ".join(str(problem).split())[:120] or type(problem).__name__
            raise ImageError(f"{path} is damaged or cut off: {reason}; provide a whole file") from problem


def write_image(path: Path | str, image: NDArray[np.floating]) -> None:
    """Write (H, W, 3) or (H, W) values in [0, 1], others clipped, as 8 bits in the format of the suffix.

    Raises:
        ImageError: the suffix names no known format.
        StorageError: the file cannot be written.
    """
    save(path, Image.fromarray(to_bytes(image)))


def write_depth(path: Path | str, depth: NDArray[np.floating]) -> None:
    """Write (H, W) metres as a 16-bit grey PNG in millimetres, as depth cameras do.

    0 means no surface: infinite, not finite, or farther than 65.535 m.

    Raises:
        ImageError: the suffix is not .png.
        StorageError: the file cannot be written.
    """
    _require_png(path, "depth")
    save(path, Image.fromarray(millimetres(depth)))


def write_mask(path: Path | str, mask: NDArray[np.integer]) -> None:
    """Write (H, W) whole numbers in 0…255 as a palette PNG: its indices are the numbers, 0 is black.

    Raises:
        ImageError: the suffix is not .png.
        StorageError: the file cannot be written.
    """
    _require_png(path, "a mask")
    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette([channel for index in range(256) for channel in mask_colour(index)])
    save(path, image)


def save(path: Path | str, image: Image.Image) -> None:
    """Write a Pillow image, whole or not at all, in the format of the suffix.

    Raises:
        ImageError: the suffix names no known format.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ImageError(
            f"{path} has the suffix {path.suffix or 'of nothing'!r}: expected one of {_suffixes()}"
        )
    encoded = io.BytesIO()
    image.save(encoded, format=FORMATS[path.suffix.lower()], quality=95)
    with atomic_write(path) as file:
        file.write(encoded.getvalue())


def to_bytes(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values in [0, 1], others clipped, as whole numbers in 0…255, rounded; the same shape."""
    return np.rint(np.clip(np.nan_to_num(image, nan=0.0), 0, 1) * 255).astype(np.uint8)


def millimetres(depth: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Metres, any shape, as whole millimetres; 0 where not finite, not positive or beyond 65.535 m."""
    with np.errstate(invalid="ignore"):
        rounded = np.rint(depth.astype(np.float64) * 1000)
        seen = np.isfinite(rounded) & (rounded > 0) & (rounded <= np.iinfo(np.uint16).max)
    return np.where(seen, rounded, 0).astype(np.uint16)


def mask_colour(index: int) -> tuple[int, int, int]:
    """The colour, 0…255, that stands for object number `index` in a mask, 1 being the first object."""
    return PALETTE[0] if index == 0 else PALETTE[1 + (index - 1) % (len(PALETTE) - 1)]


def expand_images(paths: Iterable[Path | str]) -> list[Path]:
    """List image files in the order given, each folder replaced by the images in it, sorted by name.

    Within a folder only files with a known suffix count; subfolders and hidden files do not. A path that is
    no folder is passed on as it is: reading it will say what is wrong with it.

    Raises:
        ImageError: a folder that cannot be read or holds no image.
    """
    return [file for path in paths for file in _files_at(Path(path))]


def _files_at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        found = sorted(child for child in path.iterdir() if _is_image_name(child) and child.is_file())
    except OSError as problem:
        raise ImageError(f"cannot read the folder {path}: {problem.strerror}") from problem
    if not found:
        raise ImageError(f"the folder {path} holds no image: expected files that end in {_suffixes()}")
    return found


def _is_image_name(path: Path) -> bool:
    return path.suffix.lower() in FORMATS and not path.name.startswith(".")


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            blocks = iter(partial(file.read, _BLOCK), b"")
            content = b"".join(islice(blocks, MAX_BYTES // _BLOCK + 1))
    except FileNotFoundError as problem:
        raise ImageError(f"no such file: {path}") from problem
    except IsADirectoryError as problem:
        raise ImageError(f"{path} is a folder: expected an image file") from problem
    except (OSError, ValueError) as problem:  # ValueError: a nul within the path
        raise ImageError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem
    if not content:
        raise ImageError(f"{path} is empty (0 bytes): expected an image, {_names()}")
    if len(content) > MAX_BYTES:
        raise ImageError(f"{path} is larger than {MAX_BYTES // 2**20} MiB: expected {_bounds()}")
    return content


def _check_size(size: tuple[int, int], path: Path) -> None:
    width, height = size
    came = f"{path} has {width}×{height} pixels"
    if min(size) < MIN_SIDE:
        raise ImageError(f"{came}: expected at least {MIN_SIDE}×{MIN_SIDE}")
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(f"{came}: expected {_bounds()}; scale it down")


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation in EXIF; an orientation that cannot be read is none."""
    image.load()
    try:
        return ImageOps.exif_transpose(image) or image
    except Exception:  # a picture is not lost for a damaged note about it
        return image


def _as_rgb(image: Image.Image) -> NDArray[np.float32]:
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image).astype(np.float32) / np.float32(65535)
        return np.repeat(grey.clip(0, 1)[..., None], 3, axis=-1)
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)
    rgba = np.asarray(image.convert("RGBA")).astype(np.float32) / np.float32(255)
    return rgba[..., :3] * rgba[..., 3:]


def _require_png(path: Path | str, what: str) -> None:
    if Path(path).suffix.lower() != ".png":
        raise ImageError(f"{path}: {what} is written as PNG: choose a name that ends in .png")


def _names() -> str:
    return ", ".join(sorted(set(FORMATS.values()) - {"WEBP"})) + " or WebP"


def _suffixes() -> str:
    return ", ".join(FORMATS)


def _bounds() -> str:
    return f"at most {MAX_SIDE} pixels a side and {MAX_PIXELS // 1_000_000} megapixels"
