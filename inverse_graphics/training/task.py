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
Report = Callable[[str], object]
"""Takes a line of text for the user."""


class ParameterGroup(NamedTuple):
    """Parameters with a common learning rate, `rate` times the recipe's."""

    parameters: list[nn.Parameter]
    rate: float = 1.0


Loss = Callable[[Any, int, torch.Generator], tuple[Tensor, Mapping[str, Tensor | float]]]
"""Takes a batch, the steps done before it and the source of randomness; see `Trainable.loss`."""


class Trainable(Protocol):
    """A network and its objective."""

    @property
    def module(self) -> nn.Module:
        """The module whose state is saved in checkpoints."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """All trained parameters, each in one group."""

    def loss(
        self, batch: Any, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the scalar to minimise, and values to log.

        Args:
            batch: from the task.
            step: number of steps done before.
            generator: the only source of randomness.
        """


@dataclass(frozen=True)
class NetworkTrainable:
    """A `Trainable`.

    Attributes:
        module: the network, and any state of the objective.
        loss: computes the loss of the objective.
        groups: groups of its parameters; None for one group of all.
    """

    module: nn.Module
    loss: Loss
    groups: list[ParameterGroup] | None = None

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters that are trained, each in one group."""
        return self.groups or [ParameterGroup(list(self.module.parameters()))]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation on held-out data.

    Attributes:
        metrics: figures by name.
        images: by name, (H, W, 3) float in [0, 1], for display.
    """

    metrics: Metrics
    images: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


Export = Callable[[Path, Metrics, Report], None]
"""Writes a trained network as a model folder, with held-out figures.

It calls the last argument with a line of text before each part that takes seconds.
"""


@dataclass(frozen=True)
class Task:
    """A training task.

    Attributes:
        trainable: the network and its objective.
        batch: gives the training batch of a step, by the number of steps done before; it depends on nothing
            else.
        evaluate: evaluates the network without changing it.
        export: writes the trained network as a model folder.
    """

    trainable: Trainable
    batch: Callable[[int], Any]
    evaluate: Callable[[], Evaluation]
    export: Export


TASKS: Registry[Callable[[Any], Task]] = Registry(
    "task",
    "inverse_graphics.training.air2d_task",
    "inverse_graphics.training.air3d_task",
    "inverse_graphics.training.adaptive_task",
    "inverse_graphics.training.residual_task",
)
"""Builders of tasks by the model type of the recipes that they take."""


def build_task(recipe: Recipe) -> Task:
    """Build the task of any recipe.

    Raises:
        DataError: data is missing and cannot be fetched.
        RecipeError: the data has more classes than the network.
        AssetError, EngineError, SceneError: a requirement of the recipe's scenes is missing or not valid.
    """
    return TASKS[recipe.model_type](recipe)
