"""What a parser needs of a kind of model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.parse import Parse
from inverse_graphics.parsing.canvas import Placement


class PlacedImage(NamedTuple):
    """An image as a model takes it.  canvas: (C, S, S) in [0, 1]."""

    name: str
    canvas: Tensor
    placement: Placement


class Reader(Protocol):
    """Reads images with one network."""

    def place(self, image: NDArray[np.floating]) -> tuple[Tensor, Placement]:
        """Lay an image, (H, W) or (H, W, 3) in [0, 1], onto the network's canvas.

        Raises:
            ImageError: the array is not an image.
        """

    def read(self, images: Sequence[PlacedImage]) -> Iterator[Parse]:
        """Parse images, all at once, in their order."""
