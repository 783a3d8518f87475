"""The kinds of noise that recipes can choose.  To add one: its own file, an import and a name here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from inverse_graphics.observation.gaussian import GaussianNoise
from inverse_graphics.observation.outliers import OutlierNoise
from inverse_graphics.observation.student_t import StudentTNoise

AnyNoise = Annotated[GaussianNoise | OutlierNoise | StudentTNoise, Field(discriminator="kind")]
"""The settings of some noise; `kind` tells which."""
