"""How long and how far scenes are searched."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.errors import InverseGraphicsError
from inverse_graphics.io.documents import validated

Start = Literal["prior", "network"]


class OptimiseSettings(BaseModel):
    """A search for the scene of an image.

    Attributes:
        restarts: searches of each image from other beginnings, of which the best is kept.
        candidates: scenes drawn from the prior for each beginning, which is the one of them that explains the
            image best.
        steps: of gradient ascent (Adam, Kingma and Ba 2015).
        rounds: parts into which they are divided.
        exchanges: before each part but the first, every object is tried as every other kind, as absent, and
            as so many objects elsewhere, and the best is kept; 0 changes no count and no kind.
        orientations: in how many other directions objects are tried then.
        levels: at the beginning images are compared at so many scales, at the end at one.
        position_m: lengths of the first steps; the last ones are `last_share` as long.
        orientation_degrees: lengths of the first steps; the last ones are `last_share` as long.
        camera_degrees: lengths of the first steps; the last ones are `last_share` as long.
        camera_m: lengths of the first steps; the last ones are `last_share` as long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    restarts: int = Field(16, ge=1, le=1024)
    candidates: int = Field(16, ge=1, le=65536)
    steps: int = Field(150, ge=0, le=100_000)
    rounds: int = Field(10, ge=1, le=1000)
    exchanges: int = Field(12, ge=0, le=4096)
    orientations: int = Field(8, ge=0, le=4096)
    levels: int = Field(5, ge=1, le=8)
    position_m: float = Field(0.02, gt=0, le=1)
    orientation_degrees: float = Field(12.0, gt=0, le=180)
    camera_degrees: float = Field(1.5, gt=0, le=45)
    camera_m: float = Field(0.015, gt=0, le=1)
    last_share: float = Field(0.03, gt=0, le=1)

    @property
    def steps_of_rounds(self) -> list[int]:
        """How many steps each part has."""
        ends = [self.steps * part // self.rounds for part in range(self.rounds + 1)]
        return [after - before for before, after in pairwise(ends)]

    def levels_after(self, step: int) -> int:
        """At how many scales images are compared once so many steps are done."""
        return 1 + round((self.levels - 1) * (1 - step / max(1, self.steps)))


FROM_PRIOR = OptimiseSettings.model_validate({})
"""From nothing."""
FROM_ANSWER = OptimiseSettings.model_validate(
    {
        "restarts": 1,
        "candidates": 1,
        "steps": 60,
        "rounds": 3,
        "exchanges": 6,
        "levels": 2,
        "position_m": 0.004,
        "orientation_degrees": 4.0,
        "camera_degrees": 0.4,
        "camera_m": 0.004,
        "last_share": 0.1,
    }
)
"""From a scene that is nearly right: the steps are short."""


def settings_from(
    start: Start, restarts: int | None = None, steps: int | None = None, exchanges: int | None = None
) -> OptimiseSettings:
    """Settings that suit a start, some of them changed; without exchanges no orientations are tried either.

    Raises:
        InverseGraphicsError: A number is out of its range.
    """
    given = {"restarts": restarts, "steps": steps, "exchanges": exchanges}
    changes = {name: value for name, value in given.items() if value is not None}
    if exchanges == 0:
        changes["orientations"] = 0
    default = FROM_PRIOR if start == "prior" else FROM_ANSWER
    document = default.model_dump() | changes
    return validated(OptimiseSettings, document, "settings of the search", InverseGraphicsError)
