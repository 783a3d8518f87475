"""What lies behind the objects of an image: nothing, noise, or a grid of lines."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Pictures = NDArray[np.float32]
Grey = Annotated[float, Field(ge=0, le=1)]


class Black(BaseModel):
    """Nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["black"] = "black"


class Noise(BaseModel):
    """Every pixel for itself: normal with this mean and standard deviation, clipped to [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["noise"] = "noise"
    mean: Grey = 0.3
    std: Grey = 0.15

    def draw(self, count: int, size: int, generator: np.random.Generator) -> Pictures:
        """(count, size, size) in [0, 1]."""
        noise = generator.standard_normal((count, size, size), np.float32)
        return (np.float32(self.mean) + np.float32(self.std) * noise).clip(0, 1)


class Grid(BaseModel):
    """Horizontal and vertical lines, one pixel wide, on black.

    spacing: smallest and largest distance from line to line, pixels.  brightness: smallest and largest grey
    level.  Both, and where the first line stands, are drawn anew for each image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["grid"] = "grid"
    spacing: tuple[int, int] = (6, 9)
    brightness: tuple[Grey, Grey] = (0.3, 0.6)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 2 <= self.spacing[0] <= self.spacing[1] or self.brightness[0] > self.brightness[1]:
            raise ValueError(
                "spacing and brightness: smallest, then largest; lines are 2 pixels apart at least"
            )
        return self

    def draw(self, count: int, size: int, generator: np.random.Generator) -> Pictures:
        """(count, size, size) in [0, 1]."""
        spacing = generator.integers(self.spacing[0], self.spacing[1] + 1, (count, 1))
        x, y = (generator.integers(0, self.spacing[1], (2, count, 1)) % spacing)[:, :, :]
        brightness = generator.uniform(*self.brightness, (count, 1, 1)).astype(np.float32)
        pixels = np.arange(size)
        columns, rows = (pixels - x) % spacing == 0, (pixels - y) % spacing == 0
        return brightness * (columns[:, None, :] | rows[:, :, None])


Background = Annotated[Black | Noise | Grid, Field(discriminator="kind")]
"""Any of them."""
