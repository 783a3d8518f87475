"""Settings of the scene search: numbers of steps and restarts, and step lengths."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.errors import InverseGraphicsError
from inverse_graphics.io.documents import validated

Start = Literal["prior", "network"]


class OptimiseSettings(BaseModel):
    """Settings of a search for the scene of an image.

    Attributes:
        restarts: independent searches for each image, of which the best is kept.
        candidates: scenes sampled from the prior for each restart, which starts from the best of them.
        steps: number of steps of gradient ascent (Adam, Kingma and Ba 2015).
        rounds: number of parts into which the steps are divided; exchanges take place between them.
        exchanges: number of new objects to score for each slot before each round but the first, besides
            every other kind and the removal of the object; 0 changes no count and no kind.
        orientations: number of random orientations to score for each object at the same time.
        levels: number of scales at which images are compared at the start; decreases to one.
        position_m: step length of positions at the start, metres.
        orientation_degrees: step length of orientations at the start.
        camera_degrees: step length of the camera's azimuth and elevation at the start.
        camera_m: step length of the camera's distance at the start, metres.
        last_share: step lengths at the end, as a share of those at the start.
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
        """The number of steps of each round."""
        ends = [self.steps * part // self.rounds for part in range(self.rounds + 1)]
        return [after - before for before, after in pairwise(ends)]

    def levels_after(self, step: int) -> int:
        """The number of scales at which images are compared after `step` steps."""
        return 1 + round((self.levels - 1) * (1 - step / max(1, self.steps)))


FROM_PRIOR = OptimiseSettings.model_validate({})
"""For a search from the prior."""
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
"""For a search from a scene that is nearly right, with short steps."""


def settings_from(
    start: Start, restarts: int | None = None, steps: int | None = None, exchanges: int | None = None
) -> OptimiseSettings:
    """The default settings for a start, with changes; `exchanges=0` also sets `orientations` to 0.

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
