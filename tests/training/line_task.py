"""A task small enough to train in a test: fit a noisy linear map with a small network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inverse_graphics.training.recipe import Air2DRecipe, Recipe
from inverse_graphics.training.state import TrainingState
from inverse_graphics.training.task import Evaluation, Metrics, ParameterGroup, Report, Task

MAP = torch.tensor([[1.0, -2.0, 0.5, 3.0]])


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs)


@dataclass
class Line:
    """Trainable: half of the parameters at half the rate, noise from the generator it is given."""

    module: Network
    spoilt: frozenset[int] = frozenset()

    def parameter_groups(self) -> list[ParameterGroup]:
        first, *others = self.module.parameters()
        return [ParameterGroup([first]), ParameterGroup(others, 0.5)]

    def loss(
        self, batch: Tensor, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        wanted = batch @ MAP.mT + 0.1 * torch.randn(len(batch), 1, generator=generator)
        loss = (self.module(batch) - wanted).square().mean()
        if step in self.spoilt:
            loss = loss * torch.nan
        return loss, {"elbo": -loss.detach(), "undefined": torch.nan}


@dataclass
class LineTask:
    """Builds the task and remembers what it was asked."""

    spoilt: frozenset[int] = frozenset()
    exported: list[Path] = field(default_factory=list)
    modes: list[bool] = field(default_factory=list)

    def __call__(self, recipe: Recipe) -> Task:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            trainable = Line(Network(), self.spoilt)

        def batch(step: int) -> Tensor:
            generator = torch.Generator().manual_seed(1000 * recipe.seed + step)
            return torch.randn(recipe.batch_size, 4, generator=generator)

        def evaluate() -> Evaluation:
            self.modes.append(trainable.module.training)
            held_out = torch.randn(100, 4, generator=torch.Generator().manual_seed(1))
            error = float((trainable.module(held_out) - held_out @ MAP.mT).square().mean())
            return Evaluation({"elbo": -error}, {"field": np.full((4, 5, 3), 0.5, np.float32)})

        def export(folder: Path, metrics: Metrics, report: Report) -> None:
            report("writing")
            folder.mkdir()
            self.exported.append(folder)

        return Task(trainable, batch, evaluate, export)


def recipe(**changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "name": "line",
        "steps": 6,
        "batch_size": 16,
        "seed": 3,
        "optimiser": {"learning_rate": 0.02, "decay": "cosine", "average": 0.9, "gradient_clip": 5.0},
        "evaluation": {"every": 2},
        "checkpoint_every": 3,
    }
    return Air2DRecipe.model_validate(settings | changes)


def fresh_state(settings: Recipe) -> TrainingState:
    task = LineTask()(settings)
    return TrainingState.begin(task.trainable, settings.optimiser, settings.steps, settings.seed)
