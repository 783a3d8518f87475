"""Supervised training, as a baseline: the loss is minus the posterior's log density at the labels.

Orders of the objects: `label`, by kind and then nearest first; `shuffled`, by kind and then random; `set`,
each inferred object is matched with the nearest true one.

Each step is conditioned on the true previous objects, so only the order differs from the sleep phase. The
paper's baseline is a network without a renderer (`model.state: recurrent`), trained on rotations that are not
reduced modulo symmetry (`modulo_symmetry: false`).
Source: the comparison of Eslami et al. 2016, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from inverse_graphics.distributions.draws import draw_uniform
from inverse_graphics.distributions.sampler import PointEstimate
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.proposals import sampled_latents
from inverse_graphics.models.air3d.scene_latents import draw_step_inputs
from inverse_graphics.models.air3d.wake_sleep import SleepBatch, StatePerturbation, sample_sleep_batch
from inverse_graphics.observation.observation import Observation


class SupervisedSettings(BaseModel):
    """Settings of training on labels.

    Attributes:
        order: order of the objects.
        modulo_symmetry: whether rotations are compared modulo the objects' symmetries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["supervised"] = "supervised"
    order: Literal["label", "shuffled", "set"] = "label"
    modulo_symmetry: bool = True


class SupervisedObjective:
    """Minus the posterior's log density at labels in a given order."""

    replay = None

    def __init__(self, model: Air3D, settings: SupervisedSettings) -> None:
        self.model = model
        self.settings = settings
        self.space = model.space if settings.modulo_symmetry else model.space.without_symmetry()

    def batch(self, size: int, generator: torch.Generator) -> SleepBatch:
        """Sample images and their scenes."""
        model, exact = (
            self.model,
            StatePerturbation(
                position_m=0, orientation_degrees=0, camera_degrees=0, camera_m=0, wrong_kind=0
            ),
        )
        sleep_batch = sample_sleep_batch(
            model.space, model.engine, model.observation_model, exact, size, generator
        )
        if self.settings.order == "shuffled":
            return sleep_batch.replace(scenes=shuffled(sleep_batch.scenes, generator))
        return sleep_batch

    def loss(
        self, batch: SleepBatch, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the scalar to minimise, and its parts, nats."""
        del step, generator
        if self.settings.order == "set":
            ordered = as_matched(self.model, batch.observation, batch.scenes)
        else:
            ordered = by_kind(batch.scenes)
        with torch.no_grad():
            prefixes = draw_step_inputs(ordered, self.model.space, self.model.engine)
        log_q = log_posterior(self.model, batch.observation, ordered, prefixes, space=self.space)
        watched = {f"log_q_{name}": part.detach().mean() for name, part in log_q._asdict().items()}
        return -log_q.total.mean(), watched


def by_kind(scenes: SceneLatents) -> SceneLatents:
    """Sort objects by kind (stable); empty slots last."""
    kinds = int(scenes.asset.max()) + 1 if scenes.asset.numel() else 0
    return scenes.take_slots(scenes.asset.where(scenes.asset >= 0, kinds).argsort(dim=1, stable=True))


def shuffled(scenes: SceneLatents, generator: torch.Generator) -> SceneLatents:
    """Shuffle objects; empty slots last."""
    place = draw_uniform(scenes.asset.shape, generator, scenes.position) + (scenes.asset < 0).to(
        torch.float32
    )
    return scenes.take_slots(place.argsort(dim=1))


@torch.no_grad()
def as_matched(model: Air3D, observation: Observation, scenes: SceneLatents) -> SceneLatents:
    """Order objects by their match with the objects that the network infers (Kuhn 1955)."""
    found = sampled_latents(attend_infer_repeat(model, observation, PointEstimate()))
    distance = torch.cdist(found.position, scenes.position).cpu()
    order = torch.arange(scenes.asset.shape[1]).repeat(len(scenes), 1)  # on the CPU, like SciPy
    for image, count in enumerate(scenes.counts.tolist()):
        _, columns = linear_sum_assignment(distance[image, :count, :count].numpy())
        order[image, :count] = torch.from_numpy(columns)
    return scenes.take_slots(order.to(scenes.asset.device))
