"""From the faces that samples meet to layers: shaded as the embedded engine shades, averaged by pixel."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.render.embedded.drawing_numba import Tables, average_samples
from inverse_graphics.render.engine import Layers
from inverse_graphics.render.kernels import in_chunks
from inverse_graphics.render.sampled.windows import Windows

Faces = NDArray[np.int32]

PER_SAMPLE = 20  # nanoseconds, about


def empty_layers(count: int, height: int, width: int) -> Layers:
    """Layers of nothing, L of them as of one scene, float32."""
    return Layers(
        torch.zeros(1, count, 3, height, width),
        torch.full((1, count, height, width), torch.inf),
        torch.zeros(1, count, height, width),
    )


def average_into(layers: Layers, faces: Faces, windows: Windows, tables: Tables) -> None:
    """Shade what samples meet, average the squares of each pixel (a box filter), and write that to layers.

    faces: (n,), of the library, that the samples of `windows` meet; −1 where there is none.
    layers: as of `empty_layers`. Depth is the mean over the samples that meet something.
    """
    planes = [plane[0].numpy() for plane in layers]
    places = (windows.factor, windows.rows, windows.layer, windows.box, windows.first)
    in_chunks(
        lambda start, stop: average_samples(start, stop, *places, faces, *tables, *planes),
        len(windows.layer),
        PER_SAMPLE * len(faces),
    )
