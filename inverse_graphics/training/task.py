"""What the training loop is given: something to train, what to train it on, and how to judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Metrics = Mapping[str, float]


class ParameterGroup(NamedTuple):
    """Parameters that share a learning rate: `rate` times the recipe's."""

    parameters: list[nn.Parameter]
    rate: float = 1.0


class Trainable(Protocol):
    """A network and its objective."""

    @property
    def module(self) -> nn.Module:
        """The network; its state is what checkpoints hold."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters that are trained, each in one group."""

    def loss(
        self, batch: Any, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar to make small, and figures to watch.

        batch: as the task gives it.  step: steps done before this one.  generator: the only source
        of randomness.
        """


@dataclass(frozen=True)
class Evaluation:
    """How the network does on held-out data.

    metrics: figures by name.  pictures: by name, (H, W, 3) float in [0, 1], to look at.
    """

    metrics: Metrics
    pictures: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One thing to train, complete.

    batch: what a step learns from, by the number of steps done before; it depends on nothing else.
    evaluate: judges the network as it stands, without touching it.
    export: writes the trained network as a model folder, with its held-out metrics.
    """

    trainable: Trainable
    batch: Callable[[int], Any]
    evaluate: Callable[[], Evaluation]
    export: Callable[[Path, Metrics], None]
