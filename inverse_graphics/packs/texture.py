"""Files of a pack, never out of its folder, and the textures among them."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.errors import AssetError, ImageError
from inverse_graphics.io.images import TEXTURE_FORMATS, decode_image
from inverse_graphics.packs.part import TextureImage

MAX_FILE_BYTES = 32 * 2**20
COMPANIONS = (
    ".mtl", ".mat", ".bin", ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".gif", ".tga",
    ".tif", ".tiff",
)  # fmt: skip
"""Suffixes of the files that a mesh may name: those that count for a pack's hash."""


def read_confined(folder: Path, name: str) -> bytes:
    """Read the file `name`, a relative path with forward slashes, inside `folder`.

    Raises:
        AssetError: the name leads out of the folder (.., an absolute path, a drive, a link), or the file is
            missing, is not a plain file, is larger than 32 MiB or cannot be read.
    """
    return _read(_resolved(folder, name), folder, name)


@dataclass(frozen=True)
class PackFolder:
    """A pack's folder as one of its files sees it: what the file names is found from where the file lies.

    Attributes:
        root: The pack's folder.
        place: The folder of the file within it, "" for the pack's own.
    """

    root: Path
    place: str = ""

    @classmethod
    def around(cls, root: Path, name: str) -> PackFolder:
        """The pack `root` as the file `name`, a path within it, sees it."""
        return cls(root, posixpath.dirname(posixpath.normpath(name)))

    def find(self, reference: str) -> str:
        """The path within the pack of a file that the file names.

        Backslashes count as slashes; where no name fits exactly, one that differs in capitals only does. An
        absolute path, of its author's disk, stands for the file of that name beside the file that names it.

        Raises:
            AssetError: It leads out of the pack: an absolute path, a drive, an address, or too many "..".
        """
        name = reference.strip().strip('"').replace("\\", "/")
        beside = posixpath.basename(name)
        if re.match(r"/|[A-Za-z]:", name) and self.exists(beside):
            name = beside
        path = posixpath.normpath(posixpath.join(self.place, name))
        if not name or re.match(r"/|[A-Za-z][A-Za-z0-9+.-]*:", name) or path.startswith(".."):
            raise _outside(self.root, reference)
        return path if _resolved(self.root, path).exists() else self._whatever_its_capitals(path)

    def exists(self, reference: str) -> bool:
        """Whether the file that is named is there."""
        try:
            return _resolved(self.root, self.find(reference)).is_file()
        except AssetError:
            return False

    def read(self, reference: str) -> bytes:
        """Read a file that the file names.

        Raises:
            AssetError: See `find` and `read_confined`.
        """
        name = self.find(reference)
        if PurePosixPath(name).suffix.lower() not in COMPANIONS:
            raise AssetError(
                f"file '{shown(name)}' is of no kind that is read: expected one of {', '.join(COMPANIONS)}"
            )
        return _read(_resolved(self.root, name), self.root, name)

    def image(self, reference: str) -> TextureImage:
        """An image that the file names."""
        return TextureImage(f"texture '{shown(reference)}'", lambda: self.read(reference))

    def _whatever_its_capitals(self, path: str) -> str:
        found = ""
        for part in PurePosixPath(path).parts:
            try:
                names = [child.name for child in _resolved(self.root, found or ".").iterdir()]
            except (OSError, AssetError):
                return path
            fits = sorted(name for name in names if _normalised(name) == _normalised(part))
            if not fits:
                return path
            found = posixpath.join(found, part if part in fits else fits[0])
        return found


_READ: ContextVar[dict[str, bytes] | None] = ContextVar("read", default=None)


@contextmanager
def recorded_files() -> Iterator[dict[str, bytes]]:
    """Collect the files of a pack that are read within: their contents by their paths in the pack."""
    files: dict[str, bytes] = {}
    token = _READ.set(files)
    try:
        yield files
    finally:
        _READ.reset(token)


def _normalised(name: str) -> str:
    """Equal for names that differ in capitals, or in how an accent is written, as some systems do it."""
    return unicodedata.normalize("NFC", name).casefold()


def _read(path: Path, folder: Path, name: str) -> bytes:
    if not path.is_file():
        kind = "is not a file" if path.exists() else "does not exist"
        raise AssetError(f"file '{shown(name)}' {kind}: expected it in the pack's folder {folder}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise AssetError(f"file '{shown(name)}' cannot be read: {problem.strerror}") from problem
    if len(content) > MAX_FILE_BYTES:
        raise AssetError(
            f"file '{shown(name)}' is larger than {MAX_FILE_BYTES // 2**20} MiB: make it smaller"
        )
    if (files := _READ.get()) is not None:
        files[posixpath.normpath(name)] = content
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
        raise _outside(folder, name)
    return path


def _outside(folder: Path, name: str) -> AssetError:
    return AssetError(f"file '{shown(name)}' lies outside the pack: expected a path inside {folder}")


def shown(name: str, length: int = 80) -> str:
    """A text of a stranger's for a message: without what a terminal would obey, and not too long."""
    plain = "".join(character if character.isprintable() else "?" for character in name)
    return plain if len(plain) <= length else plain[: length - 3] + "..."


MAX_TEXTURE_SIDE = 4096


@dataclass(frozen=True)
class Texels:
    """A decoded texture, as its file stores it: an orientation in EXIF is not applied.

    Attributes:
        rgb: (H, W, 3) float32 in [0, 1], image values, not multiplied by alpha.
        alpha: (H, W) float32 in [0, 1], or None.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32] | None


def read_texture(image: TextureImage) -> Texels:
    """Fetch and decode a texture.

    Raises:
        AssetError: missing, outside the pack, not an image, or larger than 4096 pixels a side.
    """
    try:
        pixels = decode_image(
            image.read(), image.name, formats=TEXTURE_FORMATS, sides=(1, MAX_TEXTURE_SIDE), upright=False
        )
    except ImageError as problem:
        raise AssetError(str(problem)) from problem
    if pixels.shape[2] == 4:
        return Texels(np.ascontiguousarray(pixels[..., :3]), pixels[..., 3])
    return Texels(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, None)
