"""Images that a model of digits was never trained for, to see whether it says so."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.data.store import search_folders
from inverse_graphics.errors import missing_packages

Images = list[NDArray[np.float32]]
SIDE = 50
"""Height and width of noise, pixels."""

OMNIGLOT = "omniglot/images_background_small1.zip"
SPRITES = "dsprites/dsprites_subset.npz"


def uniform_noise(count: int, generator: np.random.Generator) -> Images:
    """Every pixel anything from black to white."""
    return list(generator.random((count, SIDE, SIDE), dtype=np.float32))


def gaussian_noise(count: int, generator: np.random.Generator) -> Images:
    """Grey with noise of a fifth of the range."""
    grey = 0.5 + 0.2 * generator.standard_normal((count, SIDE, SIDE), dtype=np.float32)
    return list(grey.clip(0, 1))


def salt(count: int, generator: np.random.Generator) -> Images:
    """Black, with one pixel in 30 white: about as much ink as digits have."""
    return list((generator.random((count, SIDE, SIDE)) < 1 / 30).astype(np.float32))


def photographs(count: int, generator: np.random.Generator) -> Images | None:
    """Square cuts, 50 to 500 pixels, of the photograph that ships with matplotlib (public domain)."""
    if missing_packages("plots"):
        return None
    from matplotlib import cbook

    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    photograph = _scaled(Image.open(path).convert("RGB"))
    return [_cut(photograph, int(generator.integers(50, 500)), generator) for _ in range(count)]


def omniglot(count: int, generator: np.random.Generator) -> Images | None:
    """Drawings of letters as they are published, black on white (Lake et al. 2015)."""
    archive = _find(OMNIGLOT)
    if archive is None:
        return None
    with zipfile.ZipFile(archive) as drawings:
        names = sorted(name for name in drawings.namelist() if name.endswith(".png"))
        chosen = generator.choice(names, count, replace=count > len(names))
        return [_scaled(Image.open(io.BytesIO(drawings.read(name))).convert("L")) for name in chosen]


def inverted_omniglot(count: int, generator: np.random.Generator) -> Images | None:
    """The same drawings white on black, as digits are: the hardest to tell from digits."""
    drawings = omniglot(count, generator)
    return None if drawings is None else [1 - drawing for drawing in drawings]


def sprites(count: int, generator: np.random.Generator) -> Images | None:
    """One white square, ellipse or heart on black (dSprites, Matthey et al. 2017)."""
    file = _find(SPRITES)
    if file is None:
        return None
    images = np.load(file, allow_pickle=False)["imgs"]
    return list(images[generator.integers(len(images), size=count)].astype(np.float32))


FOREIGN: Mapping[str, Callable[[int, np.random.Generator], Images | None]] = {
    "Omniglot": omniglot,
    "Omniglot, inverted": inverted_omniglot,
    "sprites": sprites,
    "uniform noise": uniform_noise,
    "Gaussian noise": gaussian_noise,
    "salt noise": salt,
    "photograph": photographs,
}
"""Kinds of foreign images; a kind gives None where this machine does not have its files."""


def _find(name: str) -> Path | None:
    return next((folder / name for folder in search_folders() if (folder / name).is_file()), None)


def _scaled(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, np.float32) / np.float32(255)


def _cut(image: NDArray[np.float32], side: int, generator: np.random.Generator) -> NDArray[np.float32]:
    y, x = (int(generator.integers(extent - side + 1)) for extent in image.shape[:2])
    return image[y : y + side, x : x + side]
