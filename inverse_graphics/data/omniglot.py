"""Omniglot: letters of many alphabets, each drawn by twenty people (Lake et al. 2015, MIT)."""

from __future__ import annotations

import io
import zipfile
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.data.glyphs import Glyphs, Split
from inverse_graphics.data.store import Resource, locate, read_resource, read_shipped, write_shipped

Source = Literal["full", "shipped"]
DRAWERS = 20
TEST_DRAWERS, CALIBRATION_DRAWERS = 3, 1
"""The last drawers form the test set, and those before them the calibration set."""
SHIPPED_DRAWERS = (1, 2, 3, 4, 5, 6, 17, 18, 19, 20)
"""Drawers whose letters of the first archive ship with the package."""
REDUCTION, GAIN = 3, 1.6
"""Images of 105×105 pixels are reduced to 35×35, and thin strokes scaled to MNIST's brightness."""


def _published(number: int, sha256: str, size: int) -> Resource:
    name = f"images_background_small{number}.zip"
    url = f"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/{name}"
    return Resource(f"omniglot/{name}", sha256, size, (url,))


FILES = (
    _published(1, "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4", 1_319_022),
    _published(2, "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f", 1_580_917),
)
"""Two archives of five alphabets each: 2,720 and 3,120 images."""


def omniglot_glyphs(source: Source = "full") -> Split:
    """Load letters, white on black, 35×35, split by drawer; labels number the kinds of letters.

    Raises:
        DataError: the published files are missing and cannot be fetched, or are damaged.
    """
    if source == "shipped":
        letters = read_shipped("omniglot_small/images")
        drawers = np.tile(SHIPPED_DRAWERS, len(letters) // len(SHIPPED_DRAWERS))
        kinds = np.arange(len(letters)) // len(SHIPPED_DRAWERS)
    else:
        letters = np.concatenate([_letters(file) for file in FILES])
        drawers = np.tile(np.arange(DRAWERS) + 1, len(letters) // DRAWERS)
        kinds = np.arange(len(letters)) // DRAWERS
    test = drawers > DRAWERS - TEST_DRAWERS
    calibration = ~test & (drawers > DRAWERS - TEST_DRAWERS - CALIBRATION_DRAWERS)
    return Split(*(Glyphs(letters[part], kinds[part]) for part in (~test & ~calibration, calibration, test)))


def missing_files() -> tuple[str, ...]:
    """List the published files that are not on this machine, without network access."""
    return tuple(file.name for file in FILES if locate(file) is None)


def write_shipped_letters() -> None:
    """Write the shipped subset again from the first published file."""
    letters = _letters(FILES[0])
    drawers = np.tile(np.arange(DRAWERS) + 1, len(letters) // DRAWERS)
    write_shipped("omniglot_small/images", letters[np.isin(drawers, SHIPPED_DRAWERS)])


def _letters(file: Resource) -> NDArray[np.uint8]:
    """All images of an archive, ordered by alphabet, letter and drawer: (n, 35, 35)."""
    with zipfile.ZipFile(io.BytesIO(read_resource(file))) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        return np.stack([_letter(archive.read(name)) for name in names])


def _letter(content: bytes) -> NDArray[np.uint8]:
    ink = 1 - np.asarray(Image.open(io.BytesIO(content)).convert("L"), np.float32) / 255
    side = len(ink) // REDUCTION
    cells = ink.reshape(side, REDUCTION, side, REDUCTION).mean(axis=(1, 3))
    return np.rint(255 * (GAIN * cells).clip(0, 1)).astype(np.uint8)
