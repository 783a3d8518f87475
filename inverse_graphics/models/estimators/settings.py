"""Settings of estimators, for recipes."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Discriminator, Field, Tag

from inverse_graphics.models.air2d.network import WHERE, Air2D
from inverse_graphics.models.air_objective import AirSchedule
from inverse_graphics.models.estimators.concrete import Concrete
from inverse_graphics.models.estimators.exact import Estimator, ExactCount
from inverse_graphics.models.estimators.multi_sample import ImportanceWeighted, WakeSleep
from inverse_graphics.models.estimators.score_function import NeuralBaseline, ScoreFunction


class ExactSettings(AirSchedule):
    """The enumerated count: unbiased, without sampling noise of the count.

    longest_prefix: objects are trained on prefixes of at most this many objects, themselves included;
    presence is trained on all steps. Null for as many as there are steps.
    """

    kind: Literal["exact"] = "exact"
    longest_prefix: int | None = Field(None, ge=1, le=16)


class ScoreFunctionSettings(AirSchedule):
    """The sampled count, trained by the score function, as in the AIR paper.

    baseline_hidden: units of the neural baseline; 0 for none.  baseline_rate: its learning rate, as a
    multiple of the model's.
    """

    kind: Literal["score_function"]
    baseline_hidden: int = Field(256, ge=0, le=4096)
    baseline_rate: float = Field(10.0, gt=0, le=1000)


class ConcreteSettings(AirSchedule):
    """Relaxed presence.  temperature: of the relaxation."""

    kind: Literal["concrete"]
    temperature: float = Field(0.5, gt=0, le=100)


class IwaeSettings(AirSchedule):
    """The importance-weighted bound with sampled counts.  samples: of each image."""

    kind: Literal["iwae"]
    samples: int = Field(5, ge=2, le=1000)


class Air2DWakeSleepSettings(AirSchedule):
    """Reweighted wake-sleep.  samples: of each image."""

    kind: Literal["wake_sleep"]
    samples: int = Field(5, ge=1, le=1000)


def _kind(settings: object) -> str:
    kind = settings.get("kind") if isinstance(settings, dict) else getattr(settings, "kind", None)
    return kind or "exact"


Air2DObjective = Annotated[
    Annotated[ExactSettings, Tag("exact")]
    | Annotated[ScoreFunctionSettings, Tag("score_function")]
    | Annotated[ConcreteSettings, Tag("concrete")]
    | Annotated[IwaeSettings, Tag("iwae")]
    | Annotated[Air2DWakeSleepSettings, Tag("wake_sleep")],
    Discriminator(_kind),
]
"""Any of these; `ExactSettings` if no kind is given."""


def make_estimator(model: Air2D, settings: AirSchedule) -> Estimator:
    """Build the estimator of some settings; its weights are initialised from torch's global generator."""
    match settings:
        case ScoreFunctionSettings():
            return ScoreFunction(model, _baseline(model, settings.baseline_hidden))
        case ConcreteSettings():
            return Concrete(model, settings.temperature)
        case IwaeSettings():
            return ImportanceWeighted(model, settings.samples)
        case Air2DWakeSleepSettings():
            return WakeSleep(model, settings.samples)
        case ExactSettings():
            return ExactCount(model, settings.longest_prefix)
    return ExactCount(model)


def _baseline(model: Air2D, hidden: int) -> torch.nn.Module | None:
    if hidden == 0:
        return None
    return NeuralBaseline(model.settings.image_size**2, WHERE + model.settings.what, hidden)
