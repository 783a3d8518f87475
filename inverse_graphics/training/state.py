"""The state of a training run between steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from inverse_graphics.training.divergence import DivergenceMonitor
from inverse_graphics.training.optimiser import Optimiser, OptimiserSettings, WeightAverage
from inverse_graphics.training.task import Trainable

Row = dict[str, Any]
"""One line of a run's history: `step`, `seconds` of training, and figures."""


class Counters(BaseModel):
    """The progress of a run, the part of a checkpoint other than tensors.

    Attributes:
        step: steps done.
        seconds: of training, without evaluations.
        skipped: steps that were not finite.
        skipped_in_a_row: of these, the latest consecutive ones.
        divergence: what tells whether the run diverges.
        sums: of each training metric since the last evaluation, with the number of values.
        history: one row per evaluation.
    """

    model_config = ConfigDict(extra="forbid")

    step: NonNegativeInt = 0
    seconds: NonNegativeFloat = 0.0
    skipped: NonNegativeInt = 0
    skipped_in_a_row: NonNegativeInt = 0
    divergence: DivergenceMonitor = DivergenceMonitor()
    sums: dict[str, tuple[float, int]] = {}
    history: list[Row] = []

    def count(self, metrics: Mapping[str, Tensor | float]) -> None:
        """Add the metrics of one step; values that are not finite are ignored."""
        for name, metric in metrics.items():
            value = float(metric)
            if math.isfinite(value):
                total, number = self.sums.get(name, (0.0, 0))
                self.sums[name] = total + value, number + 1

    def means(self) -> dict[str, float]:
        """The means of the training metrics since the last evaluation."""
        return {name: total / number for name, (total, number) in self.sums.items()}


@dataclass
class TrainingState:
    """A network, its optimiser, the mean of its weights, the random state and the counters."""

    module: nn.Module
    optimiser: Optimiser
    average: WeightAverage | None
    generator: torch.Generator
    counters: Counters = field(default_factory=Counters)

    @classmethod
    def begin(cls, trainable: Trainable, settings: OptimiserSettings, steps: int, seed: int) -> TrainingState:
        """Build the state before the first step."""
        module = trainable.module
        return cls(
            module=module,
            optimiser=Optimiser(trainable.parameter_groups(), settings, steps),
            average=None if settings.average is None else WeightAverage(module, settings.average),
            generator=torch.Generator().manual_seed(seed),  # on the CPU: the same numbers on every device
        )

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, the generator's state included."""
        average = {} if self.average is None else self.average.state_tensors()
        return {
            **{f"model.{name}": tensor for name, tensor in self.module.state_dict().items()},
            **{f"optimiser.{name}": tensor for name, tensor in self.optimiser.state_tensors().items()},
            **{f"average.{name}": tensor for name, tensor in average.items()},
            "generator": self.generator.get_state(),
        }

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor], counters: Counters) -> None:
        """Load tensors and counters into this state."""
        for name, tensor in self.tensors().items():
            if name == "generator":
                self.generator.set_state(tensors[name])
            else:
                tensor.copy_(tensors[name])
        self.counters = counters

    @contextmanager
    def evaluation_mode(self) -> Iterator[None]:
        """Prepare the network for evaluation and export: averaged weights, evaluation mode, no gradients."""
        self.module.eval()
        try:
            with torch.no_grad():
                if self.average is None:
                    yield
                else:
                    with self.average.in_place():
                        yield
        finally:
            self.module.train()
