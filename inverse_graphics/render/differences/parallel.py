"""Differences taken by several processes, each for some of the scenes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from inverse_graphics.render.differences.layer_differences import LayerDifferences
from inverse_graphics.render.differences.layer_inputs import LayerInputs, View
from inverse_graphics.render.differences.replicas import Replicas
from inverse_graphics.render.differences.steps import DifferenceSettings
from inverse_graphics.render.engine import Layers, RenderEngine

Tensors = TypeVar("Tensors", LayerInputs, Layers)


class PackedLayers(NamedTuple):
    """Only those pixels of layers that something covers.

    shape: (B, N, H, W).  pixel: (n,), among all of them.  values: (5, n), r, g, b, depth, alpha.
    """

    shape: tuple[int, ...]
    pixel: Tensor
    values: Tensor

    @classmethod
    def of(cls, layers: Layers) -> PackedLayers:
        """Leave out what is empty."""
        pixel = ((layers.alpha != 0) | layers.depth.isfinite()).flatten().nonzero()[:, 0]
        planes = (*layers.rgb.unbind(2), layers.depth, layers.alpha)
        values = torch.stack([plane.flatten()[pixel] for plane in planes])
        return cls(tuple(layers.alpha.shape), pixel.int(), values)

    def unpacked(self) -> Layers:
        """All pixels again."""
        planes = self.values.new_zeros(5, torch.Size(self.shape).numel())
        planes[3] = torch.inf
        planes[:, self.pixel.long()] = self.values
        red, green, blue, depth, alpha = planes.reshape(5, *self.shape)
        return Layers(torch.stack([red, green, blue], dim=2), depth, alpha)


class _Worker:
    """What is copied to each process."""

    def __init__(self, drawing: LayerDifferences) -> None:
        self._drawing = drawing

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Wake up in another process, where as many are at work as there is room for."""
        vars(self).update(state)
        torch.set_num_threads(1)

    def layers(self, view: View, inputs: LayerInputs) -> PackedLayers:
        return PackedLayers.of(self._drawing.layers(view, inputs))

    def pull_back(self, *arguments: Any) -> tuple[Tensor | None, ...]:
        return self._drawing.pull_back(*arguments)


class ParallelDifferences:
    """As `LayerDifferences`, by `workers` processes that start at once.

    Raises:
        EngineError: fewer than one worker.
    """

    def __init__(self, engine: RenderEngine, radius: Tensor, workers: int) -> None:
        self._replicas = Replicas(_Worker(LayerDifferences(engine, radius)), workers)

    def layers(self, view: View, inputs: LayerInputs) -> Layers:
        """Draw; each process some of the scenes."""
        calls = [(view.part(scenes), _part(inputs, scenes)) for scenes in self._shares(len(view.K))]
        parts = [packed.unpacked() for packed in self._replicas.call("layers", calls)]
        return Layers(*(torch.cat(planes) for planes in zip(*parts, strict=True)))

    def pull_back(
        self,
        view: View,
        inputs: LayerInputs,
        given: Layers,
        wanted: tuple[bool, ...],
        settings: DifferenceSettings,
    ) -> tuple[Tensor | None, ...]:
        """Gradients by `inputs`; each process those of some of the scenes."""
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
    """Some of the scenes; copied, as a part of a tensor is pickled with all that it is a part of."""
    return type(batch)(*(tensor[scenes].detach().clone() for tensor in batch))
