"""Overlays of one or many images, written to one file or into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from inverse_graphics.errors import ImageError
from inverse_graphics.formats import FORMATS, read_image, save
from inverse_graphics.parse import Parse
from inverse_graphics.report.file_names import FileNames
from inverse_graphics.report.overlay import contact_sheet, draw_parse

LARGEST_SHEET = 100
"""The most pictures that go on one contact sheet."""


@contextmanager
def overlay_writer(target: Path, count: int) -> Iterator[Callable[[Parse], None]]:
    """Give a function that takes one parse after another and draws it over its image.

    target: with the suffix of an image, one file: of one image its overlay, of several a contact sheet,
    written when the block has ended well. Else a folder, made if need be, with a PNG for each image.
    count: how many images will come at most.

    Raises:
        ImageError: too many images for one sheet.
        StorageError: the folder or a file cannot be written.
    """
    if target.is_dir() or target.suffix.lower() not in FORMATS:
        names = FileNames(target, ".png")
        yield lambda parse: save(names.of(parse.image), _drawn(parse))
        return
    if count > LARGEST_SHEET:
        raise ImageError(
            f"{count} overlays do not fit into {target}: expected at most {LARGEST_SHEET}; name a folder"
        )
    pictures: list[tuple[str, Image.Image]] = []
    yield lambda parse: pictures.append((parse.image, _drawn(parse)))
    if pictures:
        save(target, pictures[0][1] if count == 1 else contact_sheet(pictures))


def _drawn(parse: Parse) -> Image.Image:
    """Read the image anew, since of thousands not all can be kept."""
    return draw_parse(read_image(parse.image), parse)
