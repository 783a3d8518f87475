"""Finite differences in several processes, each for some of the scenes."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.finite_difference.layers import LayerDifferences, LayerInputs, View
from inverse_graphics.rendering.finite_difference.replicas import Replicas
from inverse_graphics.rendering.finite_difference.steps import DifferenceSettings

Tensors = TypeVar("Tensors", LayerInputs, Layers)


class PackedLayers(NamedTuple):
    """The pixels of layers that are not empty: a sparse format for messages.

    Attributes:
        shape: (B, N, H, W).
        pixel: (n,), flat indices.
        values: (5, n), r, g, b, depth, alpha.
    """

    shape: tuple[int, ...]
    pixel: Tensor
    values: Tensor

    @classmethod
    def from_layers(cls, layers: Layers) -> PackedLayers:
        """Remove empty pixels."""
        shape = tuple(layers.alpha.shape)
        pixel = ((layers.alpha != 0) | (layers.depth != torch.inf)).flatten().nonzero()[:, 0]
        planes = [layers.rgb.flatten()[place] for place in _places(pixel, shape)]
        planes += [layers.depth.flatten()[pixel], layers.alpha.flatten()[pixel]]
        return cls(shape, pixel, torch.stack(planes))

    @staticmethod
    def joined(parts: list[PackedLayers]) -> Layers:
        """Restore all pixels of consecutive batches."""
        slots, height, width = parts[0].shape[1:]
        shape = (sum(part.shape[0] for part in parts), slots, height, width)
        like = parts[0].values
        layers = Layers(
            like.new_zeros(*shape[:2], 3, *shape[2:]), like.new_full(shape, torch.inf), like.new_zeros(shape)
        )
        before = 0
        for part in parts:
            pixel = part.pixel + before
            for place, values in zip(_places(pixel, shape), part.values, strict=False):
                layers.rgb.view(-1)[place] = values
            layers.depth.view(-1)[pixel], layers.alpha.view(-1)[pixel] = part.values[3], part.values[4]
            before += math.prod(part.shape)
        return layers


def _places(pixel: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    """Flat indices of the three colours of pixels in (B, N, 3, H, W)."""
    size = shape[2] * shape[3]
    first = pixel + 2 * size * (pixel // max(size, 1))
    return [first, first + size, first + 2 * size]


class _Worker:
    """The object that is copied to each worker process."""

    def __init__(self, drawing: LayerDifferences) -> None:
        self._drawing = drawing

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore in another process, with its share of the threads."""
        vars(self).update(state)
        torch.set_num_threads(1)

    def layers(self, view: View, inputs: LayerInputs) -> PackedLayers:
        return PackedLayers.from_layers(self._drawing.layers(view, inputs))

    def pull_back(self, *arguments: Any) -> tuple[Tensor | None, ...]:
        return self._drawing.pull_back(*arguments)


class ParallelDifferences:
    """`LayerDifferences` in `workers` processes that start immediately.

    Raises:
        EngineError: fewer than one worker.
    """

    def __init__(self, engine: RenderEngine, radius: Tensor, workers: int) -> None:
        self._replicas = Replicas(_Worker(LayerDifferences(engine, radius)), workers)

    def layers(self, view: View, inputs: LayerInputs) -> Layers:
        """Render; each process some of the scenes."""
        calls = [(view.part(scenes), _part(inputs, scenes)) for scenes in self._shares(len(view.K))]
        return PackedLayers.joined(self._replicas.call("layers", calls))

    def pull_back(
        self,
        view: View,
        inputs: LayerInputs,
        given: Layers,
        wanted: tuple[bool, ...],
        settings: DifferenceSettings,
    ) -> tuple[Tensor | None, ...]:
        """Compute gradients in `inputs`; each process for some of the scenes."""
        calls = [
            (view.part(scenes), _part(inputs, scenes), _part(given, scenes), wanted, settings)
            for scenes in self._shares(len(view.K))
        ]
        parts = self._replicas.call("pull_back", calls)
        return tuple(None if of[0] is None else torch.cat(of) for of in zip(*parts, strict=True))

    def close(self) -> None:
        """End the processes."""
        self._replicas.close()

    def _shares(self, scenes: int) -> list[slice]:
        count = max(1, min(len(self._replicas), scenes))
        bounds = [scenes * n // count for n in range(count + 1)]
        return [slice(start, stop) for start, stop in pairwise(bounds)]


def _part(batch: Tensors, scenes: slice) -> Tensors:
    """Some of the scenes, copied: pickling a slice of a tensor pickles its whole storage."""
    return type(batch)(*(tensor[scenes].detach().clone() for tensor in batch))
