"""Training objectives of the 3D model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from inverse_graphics.models.air3d.elbo import ElboObjective, ElboSettings
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.supervised import SupervisedObjective, SupervisedSettings
from inverse_graphics.models.air3d.wake_sleep import (
    SleepObjective,
    SleepSettings,
    WakeSleepObjective,
    WakeSleepSettings,
)

Air3DObjective = Annotated[
    SleepSettings | WakeSleepSettings | ElboSettings | SupervisedSettings, Field(discriminator="kind")
]


class Objective(Protocol):
    """Samples batches to train on, and computes their loss."""

    @property
    def replay(self) -> nn.Module | None:
        """The replay buffer, if there is one; checkpoints hold it."""

    def batch(self, size: int, generator: torch.Generator) -> Any:
        """Sample a training batch, which depends on the generator but not on the network's weights."""

    def loss(
        self, batch: Any, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the scalar to minimise, and values to log.

        Args:
            batch: from `batch`.
            step: number of steps done before.
            generator: for samples.
        """


def build_objective(model: Air3D, settings: Air3DObjective) -> Objective:
    """Build the objective of some settings."""
    if isinstance(settings, SleepSettings):
        return SleepObjective(model, settings)
    if isinstance(settings, WakeSleepSettings):
        return WakeSleepObjective(model, settings)
    if isinstance(settings, SupervisedSettings):
        return SupervisedObjective(model, settings)
    return ElboObjective(model, settings)
