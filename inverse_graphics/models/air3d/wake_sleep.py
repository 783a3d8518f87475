"""Wake-sleep: dreams first, then also unlabelled images, each learnt from the scene that explains it best.

The wake phase samples S scenes from the posterior, weighs them by how much better they account for the image
than the posterior thought, tempered, draws one by its weight, and raises the posterior's density there.
Source: Bornschein & Bengio 2015, "Reweighted wake-sleep"; Le et al. 2019, "Revisiting reweighted wake-sleep".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from inverse_graphics.distributions.sampler import NO_DEFENCE, Defence
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.sleep import Dreams, Misjudgement, SleepObjective, SleepSettings
from inverse_graphics.models.air3d.staged import draw_shown, nearest_first


class WakeSleepSettings(BaseModel):
    """Sleep for `sleep_steps`, then both phases; `misjudgement` and `tie_m` are those of `SleepSettings`.

    samples: S, scenes tried for each image.  wake_share: images awake for each dream.  temperature: T of the
    weights (see `Proposals.log_weights`), falling from `first_temperature` to 1 over the `cooling_steps`
    after waking.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["wake_sleep"] = "wake_sleep"
    misjudgement: Misjudgement = Misjudgement.model_validate({})
    tie_m: float = Field(0.05, ge=0, le=10)
    sleep_steps: int = Field(4000, ge=0)
    samples: int = Field(8, ge=1, le=1024)
    wake_share: float = Field(0.25, gt=0, le=16)
    first_temperature: float = Field(5.0, ge=1, le=1000)
    cooling_steps: int = Field(2000, ge=0)

    def temperature(self, step: int) -> float:
        """T after `step` steps."""
        awake = step - self.sleep_steps
        share = 1.0 if awake >= self.cooling_steps else max(awake / max(self.cooling_steps, 1), 0.0)
        return float(self.first_temperature ** (1 - share))


class DayAndNight(NamedTuple):
    """dreams: with their scenes.  images: (W, 3, H, W), of which nothing else is known."""

    dreams: Dreams
    images: Tensor


class WakeSleepObjective:
    """The sleep loss, and after a while the wake loss beside it."""

    memory = None

    def __init__(self, model: Air3D, settings: WakeSleepSettings) -> None:
        self.model = model
        self.settings = settings
        self.sleep = SleepObjective(
            model, SleepSettings(misjudgement=settings.misjudgement, tie_m=settings.tie_m)
        )

    def batch(self, size: int, generator: torch.Generator) -> DayAndNight:
        """Dream, and take images of unknown scenes."""
        awake = max(1, round(size * self.settings.wake_share))
        return DayAndNight(self.sleep.batch(size, generator), self.sleep.batch(awake, generator).images)

    def loss(
        self, batch: DayAndNight, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar to make small, and its parts, nats."""
        loss, watched = self.sleep.loss(batch.dreams, step, generator)
        if step < self.settings.sleep_steps:
            return loss, watched
        temperature = self.settings.temperature(step)
        wake, bound = wake_loss(self.model, batch.images, self.settings.samples, temperature, generator)
        share = self.settings.wake_share
        return (loss + share * wake) / (1 + share), {
            **watched,
            "wake": -wake.detach(),
            "log_evidence": bound,
            "temperature": temperature,
        }


def wake_loss(
    model: Air3D,
    images: Tensor,
    samples: int,
    temperature: float,
    generator: torch.Generator,
    defence: Defence = NO_DEFENCE,
) -> tuple[Tensor, Tensor]:
    """Minus log q at one scene resampled for each image; and the mean bound on log p(x), nats.

    Of all orders of its objects, nearest first is taught, as asleep: one order is enough for a set.
    """
    proposals = propose(model, images, samples, generator, defence)
    scenes = nearest_first(proposals.resample(generator, temperature), model.stage)
    with torch.no_grad():
        prefixes = draw_shown(scenes, model.stage, model.engine)
    said = log_posterior(model, images, scenes, prefixes)
    return -said.total.mean(), proposals.log_evidence().mean()
