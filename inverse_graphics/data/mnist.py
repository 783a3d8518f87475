"""MNIST: handwritten digits (LeCun, Cortes and Burges), the full set or the subset that ships."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.data.idx import pack_idx, parse_idx, read_bytes
from inverse_graphics.data.store import Resource, locate, read_resource
from inverse_graphics.errors import DataError
from inverse_graphics.files import atomic_write

Split = Literal["train", "test"]
Source = Literal["full", "shipped"]

SHIPPED_SIZES: dict[Split, int] = {"train": 2000, "test": 1000}
"""How many digits of each split ship with the package: the first ones of the published files."""

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def _published(file: str, sha256: str, size: int) -> Resource:
    return Resource(f"mnist/{file}", sha256, size, tuple(f"{mirror}{file}.gz" for mirror in _MIRRORS))


_IMAGES: dict[Split, Resource] = {
    "train": _published(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        16 + 60_000 * 28 * 28,
    ),
    "test": _published(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        16 + 10_000 * 28 * 28,
    ),
}
_LABELS: dict[Split, Resource] = {
    "train": _published(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        8 + 60_000,
    ),
    "test": _published(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        8 + 10_000,
    ),
}


@dataclass(frozen=True)
class Digits:
    """Labelled digits.  images: (n, 28, 28) uint8, ink 255 on 0.  labels: (n,) int64 in 0…9."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.ndim != 3 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"digits of shape {self.images.shape} with labels of shape {self.labels.shape}: "
                "expected (n, height, width) and (n,)"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def divided(self, last: int) -> tuple[Digits, Digits]:
        """All but the `last` digits, and the `last` ones."""
        first = len(self) - last
        return Digits(self.images[:first], self.labels[:first]), Digits(
            self.images[first:], self.labels[first:]
        )


def load_digits(split: Split, source: Source = "full") -> Digits:
    """The digits of one split.

    `source` "full" is the published set, 60,000 training and 10,000 test digits, found or fetched as
    `inverse_graphics.data.store` says; "shipped" is the subset inside this package and needs no network.

    Raises:
        DataError: the published files are missing and cannot be fetched, or are damaged.
    """
    if source == "shipped":
        return Digits(_shipped(f"{split}-images"), _shipped(f"{split}-labels").astype(np.int64))
    images, labels = (parse_idx(read_resource(kind[split]), kind[split].name) for kind in (_IMAGES, _LABELS))
    return Digits(images, labels.astype(np.int64))


def missing_files() -> tuple[str, ...]:
    """The published files that are not on this machine; looking costs no network."""
    wanted = (*_IMAGES.values(), *_LABELS.values())
    return tuple(resource.name for resource in wanted if locate(resource) is None)


def write_shipped_subset() -> None:
    """Write the shipped subset anew from the published files: the first digits of each split."""
    with resources.as_file(resources.files("inverse_graphics.assets")) as assets:
        for split, count in SHIPPED_SIZES.items():
            digits = load_digits(split)
            for kind, array in (("images", digits.images), ("labels", digits.labels.astype(np.uint8))):
                with atomic_write(assets / f"data/mnist_small/{split}-{kind}.gz") as file:
                    file.write(pack_idx(array[:count]))


def _shipped(name: str) -> NDArray[np.uint8]:
    file = resources.files("inverse_graphics.assets") / f"data/mnist_small/{name}.gz"
    with resources.as_file(file) as path:
        return parse_idx(read_bytes(path), str(path))
