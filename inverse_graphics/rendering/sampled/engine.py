"""A render engine from any function that finds the first face on a ray.

The faces at samples are shaded as in the embedded engine, and averaged by pixel.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.drawing_numba import Tables, average_samples
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.kernels import in_chunks
from inverse_graphics.rendering.sampled.windows import Vertices, Windows
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch

Faces = NDArray[np.int32]

PER_SAMPLE = 20  # nanoseconds, about


def empty_layers(count: int, height: int, width: int) -> Layers:
    """Empty layers, L of them in one scene, float32."""
    return Layers(
        torch.zeros(1, count, 3, height, width),
        torch.full((1, count, height, width), torch.inf),
        torch.zeros(1, count, height, width),
    )


def average_into(layers: Layers, faces: Faces, windows: Windows, tables: Tables) -> None:
    """Shade samples, average the squares of each pixel (a box filter), and write to layers.

    Args:
        layers: from `empty_layers`.
        faces: (n,), of the library, at the samples of `windows`; −1 where there is none.
        windows: of the samples.
        tables: of the library. Depth is the mean over the samples that hit a face.
    """
    planes = [plane[0].numpy() for plane in layers]
    places = (windows.factor, windows.rows, windows.layer, windows.box, windows.first)
    in_chunks(
        lambda start, stop: average_samples(start, stop, *places, faces, *tables, *planes),
        len(windows.layer),
        PER_SAMPLE * len(faces),
    )


SAMPLES = 3
MAX_SAMPLES = 16
NEAR = 0.01
"""Near plane, metres; that of the embedded engine."""
EXACT = ("cpu", torch.float64)
BATCH_SIZE = 1 << 21
"""Samples per block, about 200 bytes each."""


class FaceFinder(Protocol):
    """Finds the faces at samples."""

    @property
    def library(self) -> MeshLibrary:
        """The meshes of the finder."""

    def find(self, windows: Windows) -> Faces:
        """The first face of the library at each sample, −1 where none: (n,) int32."""


class SampledEngine:
    """Renders with a `FaceFinder` that determines visibility at `samples` × `samples` points of each pixel.

    Each object alone, only within its window; shaded as in the embedded engine (texture, vertex colours,
    Lambert; both sides of a face), averaged with a box filter. Runs on the CPU in float32, whatever the
    device and dtype of the batch; results have those of the batch. Without gradients:
    `finite_difference.FiniteDifference` adds them.
    """

    differentiable = False

    def __init__(self, name: str, finder: FaceFinder, samples: int = SAMPLES) -> None:
        if not 1 <= samples <= MAX_SAMPLES:
            raise EngineError(
                f"{samples} samples along a pixel: expected a whole number from 1 to {MAX_SAMPLES}"
            )
        self.name = name
        self.finder = finder
        self.samples = samples
        library = finder.library.to("cpu", torch.float64)
        self._known = len(library.names)
        self._vertices = Vertices.from_library(library)
        self._tables = EmbeddedEngine(library).compiled_model(library.vertices).tables

    def __reduce__(self) -> tuple[Any, ...]:
        return SampledEngine, (self.name, self.finder, self.samples)

    def with_samples(self, samples: int) -> SampledEngine:
        """The same engine with another number of samples along each side of a pixel."""
        return SampledEngine(self.name, self.finder, samples)

    @torch.no_grad()
    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone, unoccluded by the others."""
        self._check(objects.asset)
        like, shape, size = objects.position, objects.asset.shape, (camera.height, camera.width)
        here = (objects.to(*EXACT), camera.to(*EXACT), light.to(*EXACT))
        windows = Windows.from_objects(*here, self.samples, self._vertices, NEAR)
        layers = empty_layers(objects.asset.numel(), *size)
        for block in windows.blocks(BATCH_SIZE):
            average_into(layers, self.finder.find(block), block, self._tables)
        return Layers(*(plane.reshape(*shape, *plane.shape[2:]).to(like) for plane in layers))

    def _check(self, asset: torch.Tensor) -> None:
        if asset.numel() and not -1 <= int(asset.min()) <= int(asset.max()) < self._known:
            raise EngineError(
                f"asset index {int(asset.max())} is not in the library of {self._known} meshes: "
                "use −1 for an empty slot, else an index into `library.names`"
            )
