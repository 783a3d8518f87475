"""Wake-sleep: dreams first, then also unlabelled images, each learnt from the scene that explains it best.

The wake phase samples S scenes from the posterior, weighs them by how much better they account for the image
than the posterior thought, tempered, draws one by its weight, and raises the posterior's density there.
Source: Bornschein & Bengio 2015, "Reweighted wake-sleep"; Le et al. 2019, "Revisiting reweighted wake-sleep".

The sleep phase: scenes are dreamt from the prior and drawn, and the network learns to tell them.

It needs no labelled images, only the renderer and its prior; and as both are at hand, there is no end of
dreams. Source: Hinton et al. 1995, "The wake-sleep algorithm".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from inverse_graphics.distributions.sampler import NO_DEFENCE, Defence
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.scene_latents import (
    Prefixes,
    StagedScenes,
    depths,
    draw_from_prior,
    draw_shown,
    nearest_first,
    reordered,
)
from inverse_graphics.models.air3d.scene_space import Stage
from inverse_graphics.render.engine import RenderEngine


class Misjudgement(BaseModel):
    """How far off the objects before a step are shown, at most: inference will not get them right either.

    Each image is off by a share of these, uniform between none and all. position_m, turn_degrees,
    camera_degrees, camera_m: standard deviations.  wrong_kind: how often an object is taken for another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    position_m: float = Field(0.012, ge=0, le=10)
    turn_degrees: float = Field(15.0, ge=0, le=180)
    camera_degrees: float = Field(0.8, ge=0, le=90)
    camera_m: float = Field(0.015, ge=0, le=10)
    wrong_kind: float = Field(0.05, ge=0, le=1)


class Dreams(NamedTuple):
    """B scenes and what there is to see of them.

    images: (B, 3, H, W), drawn, with noise.  scenes: the truth.  prefixes: of the scenes as misjudged, drawn
    from `seen_orbit` (B, 3).
    """

    images: Tensor
    scenes: StagedScenes
    prefixes: Prefixes
    seen_orbit: Tensor


def dream(
    stage: Stage,
    engine: RenderEngine,
    sigma: float,
    misjudgement: Misjudgement,
    count: int,
    generator: torch.Generator,
    tie_m: float = 0.0,
) -> Dreams:
    """Draw scenes from the prior, images of them with noise of standard deviation `sigma`, and prefixes.

    Objects come nearest first, those within `tie_m` metres of depth in any order. Images are lit as the
    family says; prefixes, as inference will draw them, from the middle of its lights.
    """
    scenes, images = draw_from_prior(stage, engine, count, generator)
    if tie_m:
        apart = depths(scenes, stage) + tie_m * torch.rand(scenes.asset.shape, generator=generator)
        scenes = reordered(scenes, apart.argsort(dim=1, stable=True))
    with torch.no_grad():
        misjudged = misjudge(scenes, stage, misjudgement, generator)
        prefixes = draw_shown(misjudged, stage, engine)
    images = images + sigma * torch.randn(images.shape, generator=generator)
    return Dreams(images, scenes, prefixes, misjudged.orbit)


def misjudge(
    scenes: StagedScenes, stage: Stage, misjudgement: Misjudgement, generator: torch.Generator
) -> StagedScenes:
    """Scenes as inference might have them: a little off, within the stage's bounds."""
    count, slots = scenes.asset.shape
    share = torch.rand(count, 1, generator=generator)
    camera, turn = (math.radians(d) for d in (misjudgement.camera_degrees, misjudgement.turn_degrees))

    def noise(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    off = share * noise(3) * torch.tensor([camera, camera, misjudgement.camera_m])
    orbit = (scenes.orbit + off).clamp(stage.orbit_low, stage.orbit_high)
    moved = scenes.position + misjudgement.position_m * share[..., None] * noise(slots, 2)
    wrong = torch.rand(count, slots, generator=generator) < misjudgement.wrong_kind * share
    other = torch.randint(len(stage.turns), (count, slots), generator=generator)
    asset = torch.where(wrong & (scenes.asset >= 0), other, scenes.asset)
    turned = scenes.turn
    if not stage.floating:
        turned = turned + turn * share * noise(slots)
    return StagedScenes(orbit, asset, moved.clamp(-stage.reach, stage.reach), turned)


class SleepSettings(BaseModel):
    """Learning from dreams alone.

    tie_m: of objects that are as near as this, metres of depth, any may be told first. Which is nearest
    cannot always be seen, and a network that must choose would place one object between the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sleep"] = "sleep"
    misjudgement: Misjudgement = Misjudgement.model_validate({})
    tie_m: float = Field(0.05, ge=0, le=10)


class SleepObjective:
    """Minus the posterior's log density at the truth of each dream."""

    memory = None

    def __init__(self, model: Air3D, settings: SleepSettings) -> None:
        self.model = model
        self.settings = settings

    def batch(self, size: int, generator: torch.Generator) -> Dreams:
        """Dream anew."""
        model, settings = self.model, self.settings
        return dream(
            model.stage,
            model.engine,
            model.settings.sigma,
            settings.misjudgement,
            size,
            generator,
            settings.tie_m,
        )

    def loss(
        self, batch: Dreams, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar to make small, and its parts, nats."""
        del step, generator
        said = log_posterior(
            self.model, batch.images, batch.scenes, batch.prefixes, batch.seen_orbit, self.settings.tie_m
        )
        watched = {f"log_q_{name}": part.detach().mean() for name, part in said._asdict().items()}
        return -said.total.mean(), watched


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
