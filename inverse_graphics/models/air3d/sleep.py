"""The sleep phase: scenes are dreamt from the prior and drawn, and the network learns to tell them.

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

from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.stage import Stage
from inverse_graphics.models.air3d.staged import (
    Prefixes,
    StagedScenes,
    depths,
    draw_from_prior,
    draw_shown,
    reordered,
)
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
