"""Observations, and their likelihood given a rendered scene.

`AnyNoise` is the union of the settings of all noise models, for recipes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from inverse_graphics.observation.model import NOISES, NoiseSettings

if TYPE_CHECKING:
    AnyNoise = NoiseSettings
else:
    AnyNoise = Annotated[Union[tuple(NOISES.values())], Field(discriminator="kind")]  # noqa: UP007
