"""The input channels of networks: which there are, how many, and how they are scaled.

Networks take the number of their input channels from here, so a channel is added in this file alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from inverse_graphics.observation.observation import Observation, Rendered

CONTRAST = 4.0
"""Factor on grey levels: objects and background differ by about a quarter."""
COVERAGE = 1
"""Number of channels for the share of each pixel that objects cover."""


class Part(Protocol):
    """Some channels of an observation."""

    @property
    def count(self) -> int:
        """C, the number of channels."""

    def image(self, observation: Observation) -> Tensor:
        """The observation, centred at zero: (B, C, H, W)."""

    def residual(self, observation: Observation, render: Rendered) -> Tensor:
        """The observation minus the render: (B, C, H, W)."""


class Colour:
    """A `Part`: red, green and blue."""

    count = 3

    def image(self, observation: Observation) -> Tensor:
        """Grey levels, scaled to −2 … 2: (B, 3, H, W)."""
        return CONTRAST * (observation.rgb - 0.5)

    def residual(self, observation: Observation, render: Rendered) -> Tensor:
        """Differences of grey levels, with the same scale: (B, 3, H, W)."""
        return CONTRAST * observation.residual(render)


@dataclass(frozen=True)
class InputChannels:
    """The inputs of a network that infers a scene step by step.

    The image is encoded once. Each step reads the residual: the image minus the render of the objects that
    were inferred before, with their coverage. A glimpse is a window of both.
    """

    parts: tuple[Part, ...] = (Colour(),)

    @property
    def image_channels(self) -> int:
        """Number of channels of `image`."""
        return sum(part.count for part in self.parts)

    @property
    def residual_channels(self) -> int:
        """Number of channels of `residual`, of which each pixel is a block of 2 × 2 image pixels."""
        return 4 * (self.image_channels + COVERAGE)

    @property
    def glimpse_channels(self) -> int:
        """Number of channels of `glimpse`."""
        return 2 * self.image_channels + COVERAGE

    def image(self, observation: Observation) -> Tensor:
        """The observation: (B, C, H, W)."""
        return torch.cat([part.image(observation) for part in self.parts], dim=1)

    def residual(self, observation: Observation, render: Rendered) -> Tensor:
        """Residual and coverage, blocks of 2 × 2 pixels as channels: (B, 4 (C + 1), H/2, W/2)."""
        left = torch.cat(self._unexplained(observation, render), dim=1)
        return pixel_unshuffle(left, 2).contiguous(memory_format=torch.channels_last)

    def glimpse(self, observation: Observation, render: Rendered) -> Tensor:
        """Image, residual and coverage, from which glimpses are taken: (B, 2 C + 1, H, W)."""
        return torch.cat([self.image(observation), *self._unexplained(observation, render)], dim=1)

    def _unexplained(self, observation: Observation, render: Rendered) -> list[Tensor]:
        assert render.coverage is not None
        return [*(part.residual(observation, render) for part in self.parts), render.coverage]
