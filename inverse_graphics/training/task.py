"""Tasks: what the training loop needs, a network with its objective, data, and an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inverse_graphics.io.registry import Registry

if TYPE_CHECKING:
    from inverse_graphics.training.recipe import Recipe

Metrics = Mapping[str, float]


class ParameterGroup(NamedTuple):
    """Parameters that share a learning rate: `rate` times the recipe's."""

    parameters: list[nn.Parameter]
    rate: float = 1.0


Loss = Callable[[Any, int, torch.Generator], tuple[Tensor, Mapping[str, Tensor | float]]]
"""Takes a batch, the steps done before it and the source of randomness; see `Trainable.loss`."""


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
class NetworkTrainable:
    """A `Trainable`.

    module: the network, beside what the objective trains or stores.  groups: of its parameters.  loss: of the
    objective.
    """

    module: nn.Module
    groups: list[ParameterGroup]
    loss: Loss

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters that are trained, each in one group."""
        return self.groups


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


TASKS: Registry[Callable[[Any], Task]] = Registry(
    "task",
    "inverse_graphics.training.air2d_task",
    "inverse_graphics.training.air3d_task",
    "inverse_graphics.training.adaptive_task",
    "inverse_graphics.training.residual_task",
)
"""Builders of tasks by the model type of the recipes that they take."""


def build_task(recipe: Recipe) -> Task:
    """The task of any recipe.

    Raises:
        DataError: data is missing and cannot be fetched.
        RecipeError: the data has more classes than the network.
        AssetError, EngineError, SceneError: what the recipe's scenes need is missing here, or does not fit.
    """
    return TASKS[recipe.model_type](recipe)
