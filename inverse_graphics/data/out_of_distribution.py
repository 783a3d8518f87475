"""Images unlike the training images of digit models, to test the outlier detector."""

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
"""Height and width of noise images, pixels."""

OMNIGLOT = "omniglot/images_background_small1.zip"
SPRITES = "dsprites/dsprites_subset.npz"


def uniform_noise(count: int, generator: np.random.Generator) -> Images:
    """Independent pixels, uniform in [0, 1]."""
    return list(generator.random((count, SIDE, SIDE), dtype=np.float32))


def gaussian_noise(count: int, generator: np.random.Generator) -> Images:
    """Independent normal pixels with mean 0.5 and standard deviation 0.2, clipped to [0, 1]."""
    grey = 0.5 + 0.2 * generator.standard_normal((count, SIDE, SIDE), dtype=np.float32)
    return list(grey.clip(0, 1))


def salt(count: int, generator: np.random.Generator) -> Images:
    """Black, with one pixel in 30 white: about as much ink as in images of digits."""
    return list((generator.random((count, SIDE, SIDE)) < 1 / 30).astype(np.float32))


def photographs(count: int, generator: np.random.Generator) -> Images | None:
    """Square crops, 50 to 500 pixels, of the photograph that ships with matplotlib (public domain)."""
    if missing_packages("plots"):
        return None
    from matplotlib import cbook

    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    photograph = _scaled(Image.open(path).convert("RGB"))
    return [_crop(photograph, int(generator.integers(50, 500)), generator) for _ in range(count)]


def omniglot(count: int, generator: np.random.Generator) -> Images | None:
    """Letters as published, black on white (Lake et al. 2015)."""
    archive = _find(OMNIGLOT)
    if archive is None:
        return None
    with zipfile.ZipFile(archive) as letters:
        names = sorted(name for name in letters.namelist() if name.endswith(".png"))
        chosen = generator.choice(names, count, replace=count > len(names))
        return [_scaled(Image.open(io.BytesIO(letters.read(name))).convert("L")) for name in chosen]


def inverted_omniglot(count: int, generator: np.random.Generator) -> Images | None:
    """The same letters white on black, like digits: the most difficult to distinguish from digits."""
    letters = omniglot(count, generator)
    return None if letters is None else [1 - letter for letter in letters]


def sprites(count: int, generator: np.random.Generator) -> Images | None:
    """One white square, ellipse or heart on black (dSprites, Matthey et al. 2017)."""
    file = _find(SPRITES)
    if file is None:
        return None
    images = np.load(file, allow_pickle=False)["imgs"]
    return list(images[generator.integers(len(images), size=count)].astype(np.float32))


OUT_OF_DISTRIBUTION: Mapping[str, Callable[[int, np.random.Generator], Images | None]] = {
    "Omniglot": omniglot,
    "Omniglot, inverted": inverted_omniglot,
    "sprites": sprites,
    "uniform noise": uniform_noise,
    "Gaussian noise": gaussian_noise,
    "salt noise": salt,
    "photograph": photographs,
}
"""Kinds of out-of-distribution images; a function returns None if its files are not on this machine."""


def _find(name: str) -> Path | None:
    return next((folder / name for folder in search_folders() if (folder / name).is_file()), None)


def _scaled(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, np.float32) / np.float32(255)


def _crop(image: NDArray[np.float32], side: int, generator: np.random.Generator) -> NDArray[np.float32]:
    y, x = (int(generator.integers(extent - side + 1)) for extent in image.shape[:2])
    return image[y : y + side, x : x + side]
