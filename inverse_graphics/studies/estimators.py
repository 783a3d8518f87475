"""The study of gradient estimators: counting accuracy and gradient variance of each.

Files, besides those of a counting study:

    gradients.json, .md, .png, .svg   variance by estimator and stage of training

All estimators are measured on the same images and the same networks, those of one run at the start, in the
middle and at the end of training; only their random samples differ. The gradient is that with respect to the
parameters of the presence head, which determine the count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.data.sources import open_streams
from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.estimators.concrete import ConcreteSettings
from inverse_graphics.models.estimators.estimator import Estimator, EstimatorSettings
from inverse_graphics.models.estimators.exact import ExactSettings
from inverse_graphics.models.estimators.multi_sample import Air2DWakeSleepSettings, IwaeSettings
from inverse_graphics.models.estimators.score_function import ScoreFunctionSettings
from inverse_graphics.studies.counting import CountingStudy
from inverse_graphics.studies.plotting import colours_of, new_figure, tidy
from inverse_graphics.studies.records import markdown_table, write_text
from inverse_graphics.studies.runs import StudyRun
from inverse_graphics.studies.study import Progress, load_or_compute
from inverse_graphics.studies.training_stages import has_snapshots, read_snapshot, snapshot_file, stage_steps
from inverse_graphics.training.air2d_task import to_network
from inverse_graphics.training.recipe import Air2DRecipe

DOCUMENT = "gradients.json"
FORMAT_VERSION = 1
"""Measurements of other versions are repeated."""
DRAWS = 40
"""Number of gradient samples per variance estimate."""
FITTED = 300
"""Number of steps in which a baseline is fitted to a network before its estimator is measured."""

ESTIMATORS: Mapping[str, EstimatorSettings] = {
    "exact": ExactSettings.model_validate({}),
    "score function, no baseline": ScoreFunctionSettings(kind="score_function", baseline_hidden=0),
    "score function, baseline": ScoreFunctionSettings(kind="score_function"),
    "Concrete": ConcreteSettings(kind="concrete"),
    "importance-weighted": IwaeSettings(kind="iwae"),
    "wake-sleep": Air2DWakeSleepSettings(kind="wake_sleep"),
}


@dataclass(frozen=True)
class EstimatorStudy(CountingStudy):
    """A counting study that also measures gradient variances when all runs are finished."""

    name: str = "estimators"

    def finish(self, runs: Sequence[StudyRun], out: Path, progress: Progress) -> None:
        """Measure all estimators, and write a table and a plot."""
        report_gradients(runs, out, progress)


class GradientSpread(NamedTuple):
    """Mean and variance of an estimator's gradient at a stage of training.

    Attributes:
        estimator: name of the estimator.
        stage: the stage of training.
        step: training steps at that stage.
        variance: variance of the gradient of a batch's mean objective, nats², mean over the parameters of the
            presence head.
        square: square of the mean gradient, nats², mean over the same parameters, corrected for the
            sampling noise of the mean and at least 0.
    """

    stage: str
    step: int
    estimator: str
    variance: float
    square: float


def report_gradients(
    runs: Sequence[StudyRun], out: Path, progress: Progress, draws: int = DRAWS, fitted: int = FITTED
) -> list[GradientSpread]:
    """Measure all estimators on the networks of the first finished run, and write a table and a plot.

    Existing measurements are reused; nothing is measured if no run is finished.

    Raises:
        DataError: the data is missing and cannot be fetched.
        ModelError: a snapshot is damaged.
        StorageError: a file cannot be written.
    """
    measurable = [run for run in runs if run.finished and has_snapshots(run.folder, run.recipe.steps)]
    if not measurable:
        return []
    run = measurable[0]
    steps = stage_steps(run.recipe.steps).values()
    contents = [snapshot_file(run.folder, step).read_bytes() for step in steps]
    made_of = {
        "format_version": FORMAT_VERSION,
        "run": run.folder.name,
        "snapshots_sha256": [hashlib.sha256(content).hexdigest() for content in contents],
        "draws": draws,
        "fitted": fitted,
    }

    def measure() -> dict[str, object]:
        progress(f"measuring gradients on the networks of {run.variant.name}, seed {run.seed}")
        assert isinstance(run.recipe, Air2DRecipe)
        found = gradient_spreads(run.folder, run.recipe, draws, fitted)
        return {"spreads": [one._asdict() for one in found]}

    document = load_or_compute(out / DOCUMENT, made_of, measure, indent=1)
    spreads = [GradientSpread(**one) for one in document["spreads"]]
    heading = f"On the networks of {run.variant.name}, seed {run.seed}. "
    write_text(out / "gradients.md", heading + "\n".join(gradient_table(spreads)))
    plot_gradients(spreads, out)
    return spreads


def gradient_table(spreads: Sequence[GradientSpread]) -> list[str]:
    """Lines of a Markdown table with a row per estimator and a column per stage."""
    stages = dict.fromkeys((one.stage, one.step) for one in spreads)
    by_key = {(one.estimator, one.stage): one for one in spreads}
    rows = []
    for name in dict.fromkeys(one.estimator for one in spreads):
        cells = [by_key[name, stage] for stage, _ in stages]
        rows.append([name, *(f"{cell.variance:.2g} ({cell.square:.2g})" for cell in cells)])
    head = ["estimator", *(f"{stage}, step {step:,}" for stage, step in stages)]
    return [
        "Variance of the gradient with respect to the presence head's parameters, nats², mean over "
        "parameters; in parentheses the square of the mean gradient:\n",
        *markdown_table(head, rows),
        "",
    ]


def plot_gradients(spreads: Sequence[GradientSpread], folder: Path) -> None:
    """Write gradients.png and .svg: variances on a logarithmic axis, a line per estimator.

    Raises:
        StorageError: a file cannot be written.
    """
    stages = list(dict.fromkeys(one.stage for one in spreads))
    colours = colours_of(dict.fromkeys(one.estimator for one in spreads))
    with new_figure(folder / "gradients", 6, 3.2) as figure:
        axes = figure.subplots()
        for name, colour in colours.items():
            values = [one.variance for one in spreads if one.estimator == name]
            axes.plot(range(len(stages)), values, marker="o", markersize=4, color=colour, label=name)
        axes.set_yscale("log")
        axes.set_xticks(range(len(stages)), stages)
        axes.set(xlabel="stage of training", ylabel="variance, nats²")
        tidy(axes)
        figure.legend(loc="outside right center", frameon=False)


def gradient_spreads(
    folder: Path, recipe: Air2DRecipe, draws: int = DRAWS, fitted: int = FITTED
) -> list[GradientSpread]:
    """Measure all estimators on the weight snapshots of a run, with the run's schedule at each stage.

    Raises:
        DataError: the data is missing and cannot be fetched.
        ModelError: a snapshot is missing or damaged.
    """
    stream = open_streams(recipe.data).train

    def images(index: int) -> Tensor:
        return to_network(stream.batch(recipe.batch_size, recipe.seed, index).images)

    spreads = []
    for stage, step in stage_steps(recipe.steps).items():
        network, schedule = read_snapshot(folder, recipe, step), Schedule.from_recipe(recipe, step)
        for name, settings in ESTIMATORS.items():
            generator = torch.Generator().manual_seed(recipe.seed)
            estimator = _estimator(network, settings, recipe.seed)
            rate = recipe.optimiser.learning_rate * settings.helpers_rate
            before = map(images, range(step + 1, step + 1 + fitted))
            _fit_helpers(estimator, before, schedule, generator, rate)
            drawn = presence_gradients(estimator, network, images(step), schedule, draws, generator)
            spreads.append(GradientSpread(stage, step, name, *spread(drawn)))
    return spreads


def _estimator(network: Air2D, settings: EstimatorSettings, seed: int) -> Estimator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return settings.estimator(network)


class Schedule(NamedTuple):
    """The scheduled quantities at a training step.

    Attributes:
        log_count_prior: (N + 1,), nats.
        warm_up_fraction: see `Estimator`, in [0, 1].
    """

    log_count_prior: Tensor
    warm_up_fraction: float

    @classmethod
    def from_recipe(cls, recipe: Air2DRecipe, step: int) -> Schedule:
        """The schedule of a recipe after `step` steps."""
        log_odds = recipe.objective.log_odds(step)
        return cls(
            truncated_geometric(log_odds, recipe.model.max_objects), recipe.objective.warm_up_fraction(step)
        )


def presence_gradients(
    estimator: Estimator,
    network: Air2D,
    images: Tensor,
    schedule: Schedule,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Sample gradients of a batch's mean objective with respect to the presence head: (draws, P)."""
    head = list(network.presence.parameters())
    gradients = []
    for _ in range(draws):
        objective = estimator(images, *schedule, generator).objective.mean()
        gradients.append(torch.cat([part.flatten() for part in torch.autograd.grad(objective, head)]))
    return torch.stack(gradients)


def spread(gradients: Tensor) -> tuple[float, float]:
    """Compute the mean variance, and the mean square of the mean, corrected for sampling noise.

    Args:
        gradients: (D, P), D > 1 samples.
    """
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
    """Fit an estimator's baseline to a fixed network."""
    if estimator.helpers is None:
        return
    weights = list(estimator.helpers.parameters())
    adam = torch.optim.Adam(weights, lr=rate)
    for images in batches:
        loss = -estimator(images, *schedule, generator).objective.mean()
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        adam.step()
