"""Arrays of bytes that ship with the package, in assets/data."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.data.idx import pack_idx, parse_idx, read_bytes
from inverse_graphics.files import atomic_write


def read_shipped(name: str) -> NDArray[np.uint8]:
    """The array `name`, such as "mnist_small/train-images".

    Raises:
        DataError: the package is damaged.
    """
    file = resources.files("inverse_graphics.assets") / f"data/{name}.gz"
    with resources.as_file(file) as path:
        return parse_idx(read_bytes(path), str(path))


def write_shipped(name: str, array: NDArray[np.uint8]) -> None:
    """Write that array anew; equal arrays give equal files.

    Raises:
        StorageError: it cannot be written.
    """
    with resources.as_file(resources.files("inverse_graphics.assets")) as assets:
        (assets / f"data/{name}.gz").parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(assets / f"data/{name}.gz") as file:
            file.write(pack_idx(array))
