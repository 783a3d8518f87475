"""What a network sees of an observation: which channels there are, how many, and how they are scaled.

A network counts its input channels from here, so that one channel more is added here alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from inverse_graphics.observation.observation import Observation, Rendered

CONTRAST = 4.0
"""By what grey levels are multiplied: objects differ from what is behind them by about a quarter."""
COVERAGE = 1
"""Channels of what objects cover of each pixel."""


class Part(Protocol):
    """Some channels of an observation."""

    @property
    def count(self) -> int:
        """C, how many."""

    def image(self, observation: Observation) -> Tensor:
        """The observation itself, about zero: (B, C, H, W)."""

    def residual(self, observation: Observation, render: Rendered) -> Tensor:
        """What the render does not explain of it: (B, C, H, W)."""


class Colour:
    """A `Part`: red, green and blue."""

    count = 3

    def image(self, observation: Observation) -> Tensor:
        """Grey levels from −2 to 2."""
        return CONTRAST * (observation.rgb - 0.5)

    def residual(self, observation: Observation, render: Rendered) -> Tensor:
        """Differences of grey levels, multiplied likewise."""
        return CONTRAST * observation.residual(render)


@dataclass(frozen=True)
class InputChannels:
    """The inputs of a network that infers a scene step by step.

    image: of the whole observation, seen once.  residual: of what the objects so far do not explain, seen in
    each step.  glimpse: of both, in a window.
    """

    parts: tuple[Part, ...] = (Colour(),)

    @property
    def image_channels(self) -> int:
        """Channels of `image`."""
        return sum(part.count for part in self.parts)

    @property
    def residual_channels(self) -> int:
        """Channels of `residual`: of blocks of 2 × 2 pixels."""
        return 4 * (self.image_channels + COVERAGE)

    @property
    def glimpse_channels(self) -> int:
        """Channels of `glimpse`."""
        return 2 * self.image_channels + COVERAGE

    def image(self, observation: Observation) -> Tensor:
        """The observation: (B, C, H, W)."""
        return torch.cat([part.image(observation) for part in self.parts], dim=1)

    def residual(self, observation: Observation, render: Rendered) -> Tensor:
        """What is not explained, and what is covered: (B, 4 (C + 1), H/2, W/2), blocks of 2 × 2 pixels."""
        left = torch.cat(self._unexplained(observation, render), dim=1)
        return pixel_unshuffle(left, 2).contiguous(memory_format=torch.channels_last)

    def glimpse(self, observation: Observation, render: Rendered) -> Tensor:
        """What there is to look at closely: (B, 2 C + 1, H, W)."""
        return torch.cat([self.image(observation), *self._unexplained(observation, render)], dim=1)

    def _unexplained(self, observation: Observation, render: Rendered) -> list[Tensor]:
        assert render.coverage is not None
        return [*(part.residual(observation, render) for part in self.parts), render.coverage]
