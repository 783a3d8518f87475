"""What a 3D model learns from, and how: one network, several objectives, never mixed up."""

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
    """Draws what it learns from, and says how bad the network is at it."""

    @property
    def replay(self) -> nn.Module | None:
        """What it remembers from step to step, if it does; checkpoints hold it."""

    def batch(self, size: int, generator: torch.Generator) -> Any:
        """What one step learns from; depends on the generator and not on the network's weights."""

    def loss(
        self, batch: Any, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar to make small, and what to watch.  step: steps done before this one."""


def build_objective(model: Air3D, settings: Air3DObjective) -> Objective:
    """The objective of these settings."""
    if isinstance(settings, SleepSettings):
        return SleepObjective(model, settings)
    if isinstance(settings, WakeSleepSettings):
        return WakeSleepObjective(model, settings)
    if isinstance(settings, SupervisedSettings):
        return SupervisedObjective(model, settings)
    return ElboObjective(model, settings)
