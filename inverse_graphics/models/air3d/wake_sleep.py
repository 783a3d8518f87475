"""Wake-sleep: training on sampled scenes first, then also on unlabelled images and scenes inferred from them.

The wake phase samples S scenes from the posterior, weights them by their tempered importance weights,
resamples one, and maximises the posterior's density at it.
Source: Bornschein & Bengio 2015, "Reweighted wake-sleep"; Le et al. 2019, "Revisiting reweighted wake-sleep".

The sleep phase samples scenes from the prior, renders them, and maximises the posterior's density at them.
Source: Hinton et al. 1995, "The wake-sleep algorithm".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from inverse_graphics.distributions.draws import draw_integers, draw_normal, draw_uniform
from inverse_graphics.distributions.sampler import NO_MIXTURE, DefensiveMixture
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.scene_latents import (
    Prefixes,
    depths,
    draw_from_prior,
    draw_step_inputs,
    nearest_first,
    observe,
)
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.observation.model import ObservationModel
from inverse_graphics.observation.observation import Observation
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.scene.tensor_batch import TensorBatch


class StatePerturbation(BaseModel):
    """Perturbation of the scenes that are the input of steps, which imitates errors of inference.

    For each image these values are multiplied by a factor, uniform between 0 and 1.

    Attributes:
        position_m: standard deviation of positions, metres.
        orientation_degrees: standard deviation of orientations, degrees.
        camera_degrees: standard deviation of azimuth and elevation, degrees.
        camera_m: standard deviation of the camera's distance, metres.
        wrong_kind: probability of another kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    position_m: float = Field(0.012, ge=0, le=10)
    orientation_degrees: float = Field(15.0, ge=0, le=180)
    camera_degrees: float = Field(0.8, ge=0, le=90)
    camera_m: float = Field(0.015, ge=0, le=10)
    wrong_kind: float = Field(0.05, ge=0, le=1)


@dataclass(frozen=True)
class SleepBatch(TensorBatch):
    """B scenes and observations of them.

    Attributes:
        observation: rendered images with noise.
        scenes: the true scenes.
        prefixes: renders of the prefixes of the perturbed scenes.
        seen_orbit: (B, 3), the perturbed camera orbits of these renders.
    """

    observation: Observation
    scenes: SceneLatents
    prefixes: Prefixes
    seen_orbit: Tensor


def sample_sleep_batch(
    space: SceneSpace,
    engine: RenderEngine,
    observation_model: ObservationModel,
    state_perturbation: StatePerturbation,
    count: int,
    generator: torch.Generator,
    tie_m: float = 0.0,
) -> SleepBatch:
    """Sample scenes from the prior, noisy images of them, and inputs of the steps.

    Objects are sorted by depth, those within `tie_m` metres of depth in random order. Images are rendered
    with the family's random lights, and inputs of the steps, as in inference, with its mean light.
    """
    scenes, render = draw_from_prior(space, engine, count, generator)
    if tie_m:
        apart = depths(scenes, space) + tie_m * draw_uniform(scenes.asset.shape, generator, scenes.position)
        scenes = scenes.take_slots(apart.argsort(dim=1, stable=True))
    with torch.no_grad():
        perturbed = perturb_scenes(scenes, space, state_perturbation, generator)
        prefixes = draw_step_inputs(perturbed, space, engine)
    observation = observe(scenes, render, observation_model, generator)
    return SleepBatch(observation, scenes, prefixes, perturbed.orbit)


def perturb_scenes(
    scenes: SceneLatents, space: SceneSpace, state_perturbation: StatePerturbation, generator: torch.Generator
) -> SceneLatents:
    """Perturb scenes as errors of inference would, within the bounds of the family."""
    count, slots = scenes.asset.shape
    share = draw_uniform((count, 1), generator, scenes.position)
    camera, orientation = (
        math.radians(d) for d in (state_perturbation.camera_degrees, state_perturbation.orientation_degrees)
    )

    def noise(*shape: int) -> Tensor:
        return draw_normal((count, *shape), generator, scenes.position)

    off = share * noise(3) * share.new_tensor([camera, camera, state_perturbation.camera_m])
    orbit = (scenes.orbit + off).clamp(space.orbit_low, space.orbit_high)
    moved = scenes.position + state_perturbation.position_m * share[..., None] * noise(slots, 2)
    wrong = draw_uniform((count, slots), generator, share) < state_perturbation.wrong_kind * share
    other = draw_integers(len(space.orientation_observable), (count, slots), generator, share)
    asset = torch.where(wrong & (scenes.asset >= 0), other, scenes.asset)
    rotated = scenes.orientation
    if not space.floating:
        rotated = rotated + orientation * share * noise(slots)
    position = moved.clamp(-space.reach, space.reach)
    return scenes.replace(orbit=orbit, asset=asset, position=position, orientation=rotated)


class SleepSettings(BaseModel):
    """Settings of training on sampled scenes alone.

    Attributes:
        state_perturbation: perturbation of the inputs of steps.
        tie_m: objects whose depths differ by less than this, metres, may come in any order, as their order is
            ambiguous in the image and a network trained on one order would predict a mean of both.
            The more objects there are, and the less is known of the camera yet, the more often this is so.
        uniform_mixture_weight: weight of a uniform component in the trained posterior of position and
            orientation. Under a normal alone, the few objects that a step mistakes for another, more the more
            objects there are, cost hundreds of nats each and dominate the gradient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sleep"] = "sleep"
    state_perturbation: StatePerturbation = StatePerturbation.model_validate({})
    tie_m: float = Field(0.2, ge=0, le=10)
    uniform_mixture_weight: float = Field(0.02, ge=0, lt=1)


class SleepObjective:
    """Minus the posterior's log density at the true scenes of sampled images."""

    replay = None

    def __init__(self, model: Air3D, settings: SleepSettings) -> None:
        self.model = model
        self.settings = settings

    def batch(self, size: int, generator: torch.Generator) -> SleepBatch:
        """Sample scenes and observations."""
        model, settings = self.model, self.settings
        return sample_sleep_batch(
            model.space,
            model.engine,
            model.observation_model,
            settings.state_perturbation,
            size,
            generator,
            settings.tie_m,
        )

    def loss(
        self, batch: SleepBatch, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the scalar to minimise, and its parts, nats."""
        del step, generator
        log_q = log_posterior(
            self.model,
            batch.observation,
            batch.scenes,
            batch.prefixes,
            batch.seen_orbit,
            self.settings.tie_m,
            DefensiveMixture(rest=self.settings.uniform_mixture_weight),
        )
        watched = {f"log_q_{name}": part.detach().mean() for name, part in log_q._asdict().items()}
        return -log_q.total.mean(), watched


class WakeSleepSettings(BaseModel):
    """Settings of the sleep phase, followed by both phases.

    Attributes:
        state_perturbation: see `SleepSettings`.
        tie_m: see `SleepSettings`, metres.
        uniform_mixture_weight: see `SleepSettings`.
        sleep_steps: number of steps with the sleep phase only.
        samples: S, proposals per image.
        wake_share: images of the wake phase per image of the sleep phase.
        first_temperature: temperature of the weights at `sleep_steps`; see `Proposals.log_weights`.
        cooling_steps: number of steps over which the temperature then falls to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["wake_sleep"] = "wake_sleep"
    state_perturbation: StatePerturbation = StatePerturbation.model_validate({})
    tie_m: float = Field(0.2, ge=0, le=10)
    uniform_mixture_weight: float = Field(0.02, ge=0, lt=1)
    sleep_steps: int = Field(4000, ge=0)
    samples: int = Field(8, ge=1, le=1024)
    wake_share: float = Field(0.25, gt=0, le=16)
    first_temperature: float = Field(5.0, ge=1, le=1000)
    cooling_steps: int = Field(2000, ge=0)

    def temperature(self, step: int) -> float:
        """The temperature after `step` steps."""
        wake_size = step - self.sleep_steps
        share = 1.0 if wake_size >= self.cooling_steps else max(wake_size / max(self.cooling_steps, 1), 0.0)
        return float(self.first_temperature ** (1 - share))


class WakeSleepBatch(NamedTuple):
    """A batch of both phases.

    Attributes:
        sleep_batch: images with their scenes, for the sleep phase.
        observation: images without scenes, for the wake phase.
    """

    sleep_batch: SleepBatch
    observation: Observation


class WakeSleepObjective:
    """The sleep loss, plus the wake loss after `sleep_steps`."""

    replay = None

    def __init__(self, model: Air3D, settings: WakeSleepSettings) -> None:
        self.model = model
        self.settings = settings
        self.sleep = SleepObjective(
            model, SleepSettings(**settings.model_dump(include=SleepSettings.model_fields.keys() - {"kind"}))
        )

    def batch(self, size: int, generator: torch.Generator) -> WakeSleepBatch:
        """Sample scenes and observations for the sleep phase, and images for the wake phase."""
        wake_size = max(1, round(size * self.settings.wake_share))
        return WakeSleepBatch(
            self.sleep.batch(size, generator), self.sleep.batch(wake_size, generator).observation
        )

    def loss(
        self, batch: WakeSleepBatch, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the scalar to minimise, and its parts, nats."""
        loss, watched = self.sleep.loss(batch.sleep_batch, step, generator)
        if step < self.settings.sleep_steps:
            return loss, watched
        temperature = self.settings.temperature(step)
        wake, bound = wake_loss(self.model, batch.observation, self.settings.samples, temperature, generator)
        share = self.settings.wake_share
        return (loss + share * wake) / (1 + share), {
            **watched,
            "wake": -wake.detach(),
            "log_evidence": bound,
            "temperature": temperature,
        }


def wake_loss(
    model: Air3D,
    observation: Observation,
    samples: int,
    temperature: float,
    generator: torch.Generator,
    mixture: DefensiveMixture = NO_MIXTURE,
) -> tuple[Tensor, Tensor]:
    """Compute minus log q at one resampled scene per image, and the mean bound on log p(x), nats.

    Objects are sorted by depth, as in the sleep phase.
    """
    proposals = propose(model, observation, samples, generator, mixture)
    scenes = nearest_first(proposals.resample(generator, temperature), model.space)
    with torch.no_grad():
        prefixes = draw_step_inputs(scenes, model.space, model.engine)
    log_q = log_posterior(model, observation, scenes, prefixes)
    return -log_q.total.mean(), proposals.log_evidence().mean()
