"""MNIST: handwritten digits (LeCun, Cortes and Burges), the full set or the subset that ships."""

from __future__ import annotations

from typing import Literal

import numpy as np

from inverse_graphics.data.glyphs import Glyphs, Split
from inverse_graphics.data.store import (
    Resource,
    locate,
    parse_idx,
    read_resource,
    read_shipped,
    write_shipped,
)

Part = Literal["train", "test"]
Source = Literal["full", "shipped"]

SHIPPED_SIZES: dict[Part, int] = {"train": 2000, "test": 1000}
"""Number of digits of each split that ship with the package: the first ones of the published files."""

CALIBRATION_SHARE = 12
"""One in this many training digits belongs to the calibration set of the outlier detector."""

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def _published(file: str, sha256: str, size: int) -> Resource:
    return Resource(f"mnist/{file}", sha256, size, tuple(f"{mirror}{file}.gz" for mirror in _MIRRORS))


_IMAGES: dict[Part, Resource] = {
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
_LABELS: dict[Part, Resource] = {
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
FILES = (*_IMAGES.values(), *_LABELS.values())
"""All published files."""


def load_digits(split: Part, source: Source = "full") -> Glyphs:
    """Load the digits of one split.

    Args:
        split: of the published set.
        source: "full" for the published set, 60,000 training and 10,000 test digits, located or fetched by
            `inverse_graphics.data.store`; "shipped" for the subset inside this package, which needs no
            network.

    Raises:
        DataError: the published files are missing and cannot be fetched, or are damaged.

    """
    if source == "shipped":
        images, labels = (read_shipped(f"mnist_small/{split}-{kind}") for kind in ("images", "labels"))
        return Glyphs(images, labels.astype(np.int64))
    images, labels = (parse_idx(read_resource(kind[split]), kind[split].name) for kind in (_IMAGES, _LABELS))
    return Glyphs(images, labels.astype(np.int64))


def digit_glyphs(source: Source = "full") -> Split:
    """Load training digits, of which the last twelfth is the calibration set, and test digits.

    Raises:
        DataError: as `load_digits`.
    """
    digits = load_digits("train", source)
    return Split(*digits.divided(len(digits) // CALIBRATION_SHARE), load_digits("test", source))


def missing_files() -> tuple[str, ...]:
    """List the published files that are not on this machine, without network access."""
    return tuple(resource.name for resource in FILES if locate(resource) is None)


def write_shipped_subset() -> None:
    """Write the shipped subset again from the published files: the first digits of each split."""
    for split, count in SHIPPED_SIZES.items():
        digits = load_digits(split)
        write_shipped(f"mnist_small/{split}-images", digits.images[:count])
        write_shipped(f"mnist_small/{split}-labels", digits.labels[:count].astype(np.uint8))
