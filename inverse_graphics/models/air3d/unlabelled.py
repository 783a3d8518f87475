"""The bound on unlabelled images: the paper's objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from inverse_graphics.models.air3d.network import Air3D


class ElboSettings(BaseModel):
    """Learning from images alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["elbo"] = "elbo"


class ElboObjective:
    """Minus the bound."""

    def __init__(self, model: Air3D, settings: ElboSettings) -> None:
        self.model = model
        self.settings = settings

    def batch(self, size: int, generator: torch.Generator) -> Tensor:
        """Images."""
        raise NotImplementedError

    def loss(
        self, batch: Tensor, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar to make small."""
        raise NotImplementedError
