"""How noisy each estimator's gradient is for the parameters that say how many objects there are.

All estimators are put to the same networks, those of one run at the start, in the middle and at the end of
training, and to the same images; what differs is what they draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.data.kinds import open_streams
from inverse_graphics.distributions.count import truncated_geometric
from inverse_graphics.models.air2d import Air2D
from inverse_graphics.models.air_objective import AirSchedule
from inverse_graphics.models.estimators.estimate import Estimator
from inverse_graphics.models.estimators.settings import (
    Air2DWakeSleepSettings,
    ConcreteSettings,
    ExactSettings,
    IwaeSettings,
    ScoreFunctionSettings,
    make_estimator,
)
from inverse_graphics.studies.snapshots import read_snapshot, stage_steps
from inverse_graphics.training.air2d_task import to_network
from inverse_graphics.training.recipe import Air2DRecipe

DRAWS = 40
"""Gradients of the same images from which a variance is estimated."""
FITTED = 300
"""Steps in which a baseline learns to know a network, before it is judged."""

ESTIMATORS: Mapping[str, AirSchedule] = {
    "exact": ExactSettings.model_validate({}),
    "score function, no baseline": ScoreFunctionSettings(kind="score_function", baseline_hidden=0),
    "score function, baseline": ScoreFunctionSettings(kind="score_function"),
    "Concrete": ConcreteSettings(kind="concrete"),
    "importance-weighted": IwaeSettings(kind="iwae"),
    "wake-sleep": Air2DWakeSleepSettings(kind="wake_sleep"),
}


class GradientSpread(NamedTuple):
    """An estimator at a stage of training.

    variance: of the gradient of a batch's mean objective, nats², mean over the presence head's parameters.
    square: of the mean gradient, nats², likewise; less what the noise in this mean adds, and never below 0.
    """

    stage: str
    step: int
    estimator: str
    variance: float
    square: float


def gradient_spreads(
    folder: Path, recipe: Air2DRecipe, draws: int = DRAWS, fitted: int = FITTED
) -> list[GradientSpread]:
    """Of all estimators, on the networks of a run whose snapshots were kept.

    The schedule is where the run was at each stage.

    Raises:
        DataError: the data is missing and cannot be fetched.
        ModelError: a snapshot is missing or damaged.
    """
    stream = open_streams(recipe.data).learnt

    def images(index: int) -> Tensor:
        return to_network(stream.batch(recipe.batch_size, recipe.seed, index).images)

    spreads = []
    for stage, step in stage_steps(recipe.steps).items():
        network, schedule = read_snapshot(folder, recipe, step), Schedule.of(recipe, step)
        for name, settings in ESTIMATORS.items():
            generator = torch.Generator().manual_seed(recipe.seed)
            estimator = _estimator(network, settings, recipe.seed)
            rate = recipe.optimiser.learning_rate * getattr(settings, "baseline_rate", 1.0)
            before = map(images, range(step + 1, step + 1 + fitted))
            _fit_helpers(estimator, before, schedule, generator, rate)
            drawn = presence_gradients(estimator, network, images(step), schedule, draws, generator)
            spreads.append(GradientSpread(stage, step, name, *spread(drawn)))
    return spreads


def _estimator(network: Air2D, settings: AirSchedule, seed: int) -> Estimator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_estimator(network, settings)


class Schedule(NamedTuple):
    """Where training is.  log_count_prior: (N + 1,).  trust: in [0, 1]."""

    log_count_prior: Tensor
    trust: float

    @classmethod
    def of(cls, recipe: Air2DRecipe, step: int) -> Schedule:
        """After so many steps of a recipe."""
        log_odds = recipe.objective.log_odds(step)
        return cls(truncated_geometric(log_odds, recipe.model.max_objects), recipe.objective.trust(step))


def presence_gradients(
    estimator: Estimator,
    network: Air2D,
    images: Tensor,
    schedule: Schedule,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """So many gradients of the mean objective of images (B, 1, H, W) by the presence head: (draws, P)."""
    head = list(network.presence.parameters())
    gradients = []
    for _ in range(draws):
        objective = estimator(images, *schedule, generator).objective.mean()
        gradients.append(torch.cat([part.flatten() for part in torch.autograd.grad(objective, head)]))
    return torch.stack(gradients)


def spread(gradients: Tensor) -> tuple[float, float]:
    """Of draws (D, P): mean variance, and mean square of the mean, less what noise adds to that.  D > 1."""
    variance = float(gradients.double().var(0).mean())
    square = float(gradients.double().mean(0).square().mean()) - variance / len(gradients)
    return variance, max(square, 0.0)


def _fit_helpers(
    estimator: Estimator,
    batches: Iterable[Tensor],
    schedule: Schedule,
    generator: torch.Generator,
    rate: float,
) -> None:
    """Let an estimator's baseline get to know a network that stands still."""
    if estimator.helpers is None:
        return
    weights = list(estimator.helpers.parameters())
    adam = torch.optim.Adam(weights, lr=rate)
    for images in batches:
        loss = -estimator(images, *schedule, generator).objective.mean()
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        adam.step()
