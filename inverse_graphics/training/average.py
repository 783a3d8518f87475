"""A running mean of the weights, steadier than the weights themselves (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential mean of a network's real-valued state, bent towards the newest in the first steps."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = {n: t for n, t in module.state_dict().items() if t.is_floating_point()}
        self._means = {name: tensor.clone() for name, tensor in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they stand after `step` steps."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._means.values()), list(self._weights.values()), share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network hold the means, and give it its own weights back after the block."""
        kept = {name: tensor.clone() for name, tensor in self._weights.items()}
        _copy(self._means, self._weights)
        try:
            yield
        finally:
            _copy(kept, self._weights)

    def state_tensors(self) -> dict[str, Tensor]:
        """The means by name; copying into them restores the average."""
        return self._means


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
