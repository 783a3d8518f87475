"""What `study estimators` adds to a study of counting: how noisy the estimators' gradients are.

DIR/
    gradients.json, .md, .png, .svg   variance by estimator and stage of training

How noisy each estimator's gradient is for the parameters that say how many objects there are.

All estimators are put to the same networks, those of one run at the start, in the middle and at the end of
training, and to the same images; what differs is what they draw.

Gradient variance by estimator and stage of training, as a table and as a picture.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inverse_graphics.data.sources import open_streams
from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.errors import TrainingError
from inverse_graphics.io.documents import read_document
from inverse_graphics.io.files import atomic_write
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.air_objective import AirSchedule
from inverse_graphics.models.estimators.exact import Estimator
from inverse_graphics.models.estimators.settings import (
    Air2DWakeSleepSettings,
    ConcreteSettings,
    ExactSettings,
    IwaeSettings,
    ScoreFunctionSettings,
    make_estimator,
)
from inverse_graphics.studies.curve_plot import colours_of
from inverse_graphics.studies.runs import Say, StudyRun, write_text
from inverse_graphics.studies.training_stages import has_snapshots, read_snapshot, snapshot_file, stage_steps
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
    stream = open_streams(recipe.data).train

    def images(index: int) -> Tensor:
        return to_network(stream.batch(recipe.batch_size, recipe.seed, index).images)

    spreads = []
    for stage, step in stage_steps(recipe.steps).items():
        network, schedule = read_snapshot(folder, recipe, step), Schedule.from_recipe(recipe, step)
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
    """Where training is.  log_count_prior: (N + 1,).  warm_up_fraction: in [0, 1]."""

    log_count_prior: Tensor
    warm_up_fraction: float

    @classmethod
    def from_recipe(cls, recipe: Air2DRecipe, step: int) -> Schedule:
        """After so many steps of a recipe."""
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


FORMATS = ("png", "svg")


def gradient_table(spreads: Sequence[GradientSpread]) -> list[str]:
    """Markdown lines: a row for each estimator, a column for each stage."""
    stages = dict.fromkeys((one.stage, one.step) for one in spreads)
    of = {(one.estimator, one.stage): one for one in spreads}
    heads = [f"{stage}, step {step:,}" for stage, step in stages]
    lines = [
        "Variance of the gradient by the presence head's parameters, nats², mean over these; in brackets the "
        "square of the mean gradient, likewise:\n",
        f"| estimator | {' | '.join(heads)} |",
        f"|---|{'---|' * len(heads)}",
    ]
    for name in dict.fromkeys(one.estimator for one in spreads):
        cells = [of[name, stage] for stage, _ in stages]
        lines.append(f"| {name} | {' | '.join(f'{c.variance:.2g} ({c.square:.2g})' for c in cells)} |")
    return [*lines, ""]


def plot_gradients(spreads: Sequence[GradientSpread], folder: Path) -> None:
    """Draw gradients.png and .svg: variances on a logarithmic axis, a line for each estimator.

    Raises:
        StorageError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(one.stage for one in spreads))
    names = list(dict.fromkeys(one.estimator for one in spreads))
    colours = colours_of(names)
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "gradients", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6, 3.2), layout="constrained")
        axes = figure.subplots()
        for name in names:
            values = [one.variance for one in spreads if one.estimator == name]
            axes.plot(range(len(stages)), values, marker="o", markersize=4, color=colours[name], label=name)
        axes.set_yscale("log")
        axes.set_xticks(range(len(stages)), stages)
        axes.set(xlabel="stage of training", ylabel="variance, nats²")
        axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right center", frameon=False)
        for kind in FORMATS:
            metadata = {"Date": None} if kind == "svg" else None
            with atomic_write(folder / f"gradients.{kind}") as opened:
                figure.savefig(opened, format=kind, dpi=120, metadata=metadata)


DOCUMENT = "gradients.json"
FORMAT_VERSION = 1
"""Older figures are made anew."""


def report_gradients(
    runs: Sequence[StudyRun], out: Path, say: Say, draws: int = DRAWS, fitted: int = FITTED
) -> list[GradientSpread]:
    """Measure all estimators on the networks of the first finished run, once, and write table and picture.

    Nothing is measured while no run is finished.

    Raises:
        DataError: the data is missing and cannot be fetched.
        ModelError: a snapshot is damaged.
        StorageError: a file cannot be written.
    """
    measurable = [run for run in runs if run.finished and has_snapshots(run.folder, run.recipe.steps)]
    if not measurable:
        return []
    spreads = _measured(measurable[0], out / DOCUMENT, say, draws, fitted)
    heading = f"On the networks of {measurable[0].variant.name}, seed {measurable[0].seed}. "
    write_text(out / "gradients.md", heading + "\n".join(gradient_table(spreads)))
    plot_gradients(spreads, out)
    return spreads


def _measured(trained: StudyRun, file: Path, say: Say, draws: int, fitted: int) -> list[GradientSpread]:
    asked = _asked(trained, draws, fitted)
    kept = _kept(file)
    if kept.get("of") == asked:
        return [GradientSpread(**one) for one in kept["spreads"]]
    say(f"measuring gradients on the networks of {trained.variant.name}, seed {trained.seed}")
    assert isinstance(trained.recipe, Air2DRecipe)
    spreads = gradient_spreads(trained.folder, trained.recipe, draws, fitted)
    document = {"of": asked, "spreads": [one._asdict() for one in spreads]}
    write_text(file, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return spreads


def _asked(trained: StudyRun, draws: int, fitted: int) -> dict[str, Any]:
    """All that the figures depend on."""
    steps = stage_steps(trained.recipe.steps).values()
    contents = [snapshot_file(trained.folder, step).read_bytes() for step in steps]
    return {
        "format_version": FORMAT_VERSION,
        "run": trained.folder.name,
        "snapshots_sha256": [hashlib.sha256(content).hexdigest() for content in contents],
        "draws": draws,
        "fitted": fitted,
    }


def _kept(file: Path) -> dict[str, Any]:
    try:
        document = read_document(file, TrainingError)
    except TrainingError:
        return {}
    return document if isinstance(document, dict) else {}
