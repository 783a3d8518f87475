"""How values are taken from posteriors: drawn, or at their centre."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Posterior(Protocol):
    """A distribution that can be sampled and that has a centre."""

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one value, reparameterised where that is possible."""

    def centre(self) -> Tensor:
        """The one value that stands for all: mean, mode or most probable choice."""


class Sampler(Protocol):
    """How a value is taken from a posterior."""

    def __call__(self, posterior: Posterior) -> Tensor:
        """Take one value."""


class Reparameterised:
    """Draws with a given generator, so that gradients reach the posterior's parameters."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, posterior: Posterior) -> Tensor:
        """Draw one value."""
        return posterior.sample(self.generator)


class AtMeans:
    """Takes the centre: what `infer` reports."""

    def __call__(self, posterior: Posterior) -> Tensor:
        """The centre."""
        return posterior.centre()
