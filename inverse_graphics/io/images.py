"""Images: read from files, Pillow images, arrays and tensors, and written to files.

Stored values are scaled without a change of colour space: 0 becomes 0, and the largest value becomes 1.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from inverse_graphics.errors import ImageError
from inverse_graphics.io.files import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[Any] | Tensor"
"""What `as_image` converts: a path, a Pillow image, an array or a tensor."""

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".webp": "WEBP"}
"""Formats by suffix, for writing; for reading, the format is detected from the contents."""
TEXTURE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TGA", "TIFF")
"""Pillow's raster formats; for others, such as EPS, it would start a program that executes the file."""
MIN_SIDE = 8
MAX_SIDE = 8192
MAX_PIXELS = 40_000_000
MAX_BYTES = 256 * 2**20
_BLOCK = 2**20
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ROUNDING = 0.5 / 255
"""Tolerance of floats beyond [0, 1], for rounding."""

PALETTE = (
    (0, 0, 0), (230, 97, 1), (94, 60, 153), (27, 158, 119), (231, 41, 138), (102, 166, 30), (230, 171, 2),
    (55, 126, 184), (166, 118, 29), (153, 214, 234), (251, 154, 153), (128, 128, 128),
    (220, 190, 255), (255, 225, 25), (170, 255, 195), (150, 30, 30), (70, 240, 240), (255, 215, 180),
    (128, 128, 0), (240, 50, 230), (70, 100, 220),
)  # fmt: skip
"""Colours of a mask: black where there is no object, then one for each, repeated from the second."""


def as_image(image: ImageLike, name: str = "the image") -> NDArray[np.float32]:
    """Convert an image in any of the accepted forms to one.

    The same image gives the same values as a file, a Pillow image, or an array of any accepted type.
    Ambiguous input is refused. Only the order of the colours cannot be checked: arrays from OpenCV are BGR,
    and `image[..., ::-1]` converts them to RGB.

    Args:
        image: A path (see `read_image`); a Pillow image of any mode, whose EXIF orientation is applied; or an
            array or tensor, channels last: (H, W) or (H, W, 1) grey, (H, W, 3) RGB, or (H, W, 4) RGBA, which
            is composited over black. Its values are floats in [0, 1], booleans, or uint8 or uint16, which are
            divided by 255 or 65535. It has 8 to 8192 pixels a side and at most 40 megapixels.
        name: The name in error messages of an image that has no path.

    Returns:
        (H, W, 3) float32 in [0, 1], RGB.

    Raises:
        ImageError: It is none of these; one line states what came, what was expected and what to do.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    if isinstance(image, Image.Image):
        with _decoding(name):
            return _opaque(_from_pillow(image, name))
    return _opaque(_from_array(_array(image, name), name))


def is_one_image(images: object) -> bool:
    """Whether something is a single image, or at least no iterable of several."""
    single = isinstance(images, str | bytes | os.PathLike | Image.Image) or hasattr(images, "__array__")
    return single or not isinstance(images, Iterable)


def read_image(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read an image file, with its EXIF orientation applied.

    8 and 16 bit, grey, palette and colour are accepted (Pillow reduces 16-bit colour to 8 bits); transparent
    pixels are composited over black; of an animation the first frame is read.

    Args:
        path: A PNG, JPEG, BMP or WebP file, whatever its suffix, of 8 to 8192 pixels a side and at most
            40 megapixels, which is checked before anything is decoded.

    Returns:
        (H, W, 3) float32 in [0, 1], RGB.

    Raises:
        ImageError: No such file, a folder, empty, not an image, damaged, too small or too large.
    """
    path = Path(path)
    return _opaque(decode_image(_read_bytes(path), str(path)))


def decode_image(
    content: bytes,
    name: str,
    *,
    formats: Collection[str] = frozenset(FORMATS.values()),
    sides: tuple[int, int] = (MIN_SIDE, MAX_SIDE),
    upright: bool = True,
) -> NDArray[np.float32]:
    """Decode an image file of a stranger: of a known format, and of a size checked before it is decoded.

    Args:
        content: Of the file.
        name: For messages.
        formats: Pillow's names of those accepted, whatever the suffix.
        sides: The least and the largest number of pixels a side.
        upright: Whether the orientation in EXIF is applied.

    Returns:
        (H, W, C) float32 in [0, 1]: grey, RGB or RGBA, not multiplied by alpha.

    Raises:
        ImageError: Not an image, damaged, too small or too large.
    """
    with _decoding(name, sides[1]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bounds below are tighter than Pillow's warning
        with Image.open(io.BytesIO(_without_metadata(content)), formats=tuple(formats)) as image:
            return _from_pillow(image, name, sides, upright)


def write_image(path: Path | str, image: NDArray[np.floating]) -> None:
    """Write an image file of 8 bits a channel.

    Args:
        path: Its suffix chooses the format: .png, .jpg, .jpeg, .bmp or .webp.
        image: (H, W, 3) or (H, W), values in [0, 1]; others are clipped.

    Raises:
        ImageError: The suffix names no known format.
        StorageError: The file cannot be written.
    """
    save(path, Image.fromarray(to_bytes(image)))


def write_depth(path: Path | str, depth: NDArray[np.floating]) -> None:
    """Write depth as a 16-bit grey PNG in millimetres, as depth cameras do.

    Args:
        path: A file that ends in .png.
        depth: (H, W), metres; what is not finite, not positive or beyond 65.535 m becomes 0, no surface.

    Raises:
        ImageError: The suffix is not .png.
        StorageError: The file cannot be written.
    """
    _require_png(path, "depth")
    save(path, Image.fromarray(millimetres(depth)))


def write_mask(path: Path | str, mask: NDArray[np.integer]) -> None:
    """Write a mask as a palette PNG: its indices are the mask's numbers, 0 is black.

    Args:
        path: A file that ends in .png.
        mask: (H, W), whole numbers from 0 to 255.

    Raises:
        ImageError: The suffix is not .png.
        StorageError: The file cannot be written.
    """
    _require_png(path, "a mask")
    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette([channel for index in range(256) for channel in mask_colour(index)])
    save(path, image)


def save(path: Path | str, image: Image.Image) -> None:
    """Write a Pillow image atomically, in the format of the suffix.

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
    """The colour, 0…255, of object number `index` in a mask, where 1 is the first object."""
    return PALETTE[0] if index == 0 else PALETTE[1 + (index - 1) % (len(PALETTE) - 1)]


def expand_images(paths: Iterable[Path | str]) -> list[Path]:
    """List image files in the order given, each folder replaced by the images in it, sorted by name.

    Within a folder only files with a known suffix count; subfolders and hidden files do not. Any other path
    is returned unchanged: an error is raised when it is read.

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


@contextmanager
def _decoding(name: str, max_side: int = MAX_SIDE) -> Iterator[None]:
    """Convert any exception of a decoder to an ImageError of one line."""
    try:
        yield
    except Image.DecompressionBombError as problem:
        raise ImageError(f"{name} is too large: expected {_bounds(max_side)}; scale it down") from problem
    except UnidentifiedImageError as problem:
        raise ImageError(f"{name} is not an image: expected {_names()}") from problem
    except ImageError:
        raise
    except Exception as problem:  # decoders raise many kinds of exception
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise ImageError(f"{name} is damaged or cut off: {reason}; provide a complete file") from problem


def _without_metadata(content: bytes) -> bytes:
    """Drop a PNG's texts and colour profile, which are not used, and of which Pillow refuses large ones."""
    if not content.startswith(_PNG_SIGNATURE):
        return content
    kept, place = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while place < len(content):
        stop = place + 12 + int.from_bytes(content[place : place + 4])
        if content[place + 4 : place + 8] not in (b"iTXt", b"zTXt", b"tEXt", b"iCCP"):
            kept.append(content[place:stop])
        place = stop
    return b"".join(kept)


def _check_size(size: tuple[int, int], name: str, sides: tuple[int, int]) -> None:
    width, height = size
    came = f"{name} has {width}×{height} pixels"
    if min(size) < sides[0]:
        raise ImageError(f"{came}: expected at least {sides[0]}×{sides[0]}")
    if max(size) > sides[1] or width * height > MAX_PIXELS:
        raise ImageError(f"{came}: expected {_bounds(sides[1])}; scale it down")


def _from_pillow(
    image: Image.Image, name: str, sides: tuple[int, int] = (MIN_SIDE, MAX_SIDE), upright: bool = True
) -> NDArray[np.float32]:
    _check_size(image.size, name, sides)
    image.load()
    if upright:
        image = _upright(image)
    if image.mode == "I":  # 32 bits that hold 16
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > np.iinfo(np.uint16).max:
            came = f"{name} is a Pillow image of mode I with values from {levels.min()} to {levels.max()}"
            raise ImageError(f"{came}: expected 0 to 65535; scale it to 16 bits")
        return _from_array(levels.astype(np.uint16), name, sides)
    if image.mode.startswith(("I", "F")):
        return _from_array(np.asarray(image), name, sides)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return _from_array(np.asarray(image.convert(mode)), name, sides)


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation in EXIF; an orientation that cannot be read is none."""
    try:
        return ImageOps.exif_transpose(image) or image
    except Exception:  # damaged metadata must not make the image unusable
        return image


def _array(image: object, name: str) -> NDArray[Any]:
    """An array or a tensor as an array; torch is not imported for this."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(image, torch.Tensor):
        tensor = image.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    if not hasattr(image, "__array__"):
        raise ImageError(
            f"{name} is a {type(image).__name__}: expected a path, a Pillow image, an array or a tensor"
        )
    return np.asarray(image)


def _from_array(
    pixels: NDArray[Any], name: str, sides: tuple[int, int] = (MIN_SIDE, MAX_SIDE)
) -> NDArray[np.float32]:
    """(H, W, C) in [0, 1], with as many channels as there are."""
    came = f"{name} is an array of shape {pixels.shape} and type {pixels.dtype}"
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ImageError(f"{came}: expected (H, W), (H, W, 3) or (H, W, 4); {_advice(pixels.shape)}")
    height, width, _ = pixels.shape
    _check_size((width, height), name, sides)
    return _scaled(pixels, came)


def _opaque(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 1, 3 or 4) as RGB, over black."""
    if values.shape[2] == 4:
        values = values[..., :3] * values[..., 3:]
    return np.ascontiguousarray(np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values)


def _advice(shape: tuple[int, ...]) -> str:
    if len(shape) == 4:
        return "pass the images of a batch as a list, such as list(images)"
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "move its channels to the end, such as by np.moveaxis(image, 0, -1) or image.permute(1, 2, 0)"
    return "pass one image, or a list of images"


def _scaled(pixels: NDArray[Any], came: str) -> NDArray[np.float32]:
    """Values of any accepted type as floats in [0, 1], the same shape."""
    kind, size = pixels.dtype.kind, pixels.dtype.itemsize
    if kind == "b":
        return pixels.astype(np.float32)
    if kind == "u" and size <= 2:
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    if kind != "f":
        raise ImageError(
            f"{came}: expected floats in [0, 1], uint8 or uint16; convert it, as image.astype(np.uint8) does"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{came} with values that are not finite: expected floats in [0, 1]; replace them")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ImageError(
            f"{came} with values from {low:.4g} to {high:.4g}: expected floats in [0, 1], uint8 or uint16; "
            "divide it by its largest possible value, or clip it"
        )
    return pixels.clip(0, 1).astype(np.float32, copy=False)


def _require_png(path: Path | str, what: str) -> None:
    if Path(path).suffix.lower() != ".png":
        raise ImageError(f"{path}: {what} is written as PNG: choose a name that ends in .png")


def _names() -> str:
    return ", ".join(sorted(set(FORMATS.values()) - {"WEBP"})) + " or WebP"


def _suffixes() -> str:
    return ", ".join(FORMATS)


def _bounds(max_side: int = MAX_SIDE) -> str:
    return f"at most {max_side} pixels a side and {MAX_PIXELS // 1_000_000} megapixels"
