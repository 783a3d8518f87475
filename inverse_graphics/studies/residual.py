"""The study of residual networks that think: accuracy and cost by kind of block, gradients by latents.

DIR/
    runs/as_it_is-seed<k>/  a training run; once finished also evaluation.json
    results.json            everything, for programs
    gradients.csv           variances of the halting gradient, by seed, stage, latents and estimator
    gradients.png, .svg     the same
    computation.png, .svg   held-out images, and where the first seed's network looked long
    summary.md              tables, for people

Where a residual network looked long: images, and below each the units that ran, pixel by pixel.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from inverse_graphics.data.sources import open_streams
from inverse_graphics.errors import RecipeError, TrainingError
from inverse_graphics.models.residual.block import block_kind
from inverse_graphics.models.residual.evaluation import ImageScores, evaluate_images
from inverse_graphics.models.residual.network import ResidualNetwork
from inverse_graphics.models.residual.objectives import Labelled
from inverse_graphics.models.weights import current_versions, load_model
from inverse_graphics.studies.adaptive_plot import new_figure
from inverse_graphics.studies.latents import (
    FITTED,
    RELAXED,
    SCORE,
    LatentSpread,
    latent_csv,
    latent_spreads,
    latent_table,
    mean_variance,
    plot_latents,
    variance_ratio,
    variances,
)
from inverse_graphics.studies.runs import StudyRun, judged_once, plan, write_text
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import BLOCK_OBJECTIVES, ResidualRecipe, load_recipe
from inverse_graphics.training.residual_task import labelled
from inverse_graphics.training.run import WEIGHTS


def plot_computation(
    images: Tensor, exam: ImageScores, least: int, most: int, file: Path, shown: int = 12
) -> None:
    """Draw the first images and their computation maps, as PNG and SVG.

    images: (M, 1, S, S).  least, most: units of all blocks that run somewhere.  file: without suffix.

    Raises:
        StorageError: a file cannot be written.
    """
    shown = min(shown, len(images))
    with new_figure(file, 0.85 * shown + 0.9, 2.1) as figure:
        panels = figure.subplots(2, shown, squeeze=False)
        for column in range(shown):
            above, below = panels[:, column]
            above.imshow(images[column, 0].numpy(), cmap="gray", vmin=0, vmax=1)
            drawn = below.imshow(exam.maps[column].numpy(), cmap="magma", vmin=least, vmax=most)
            above.set_title(f"{exam.multiply_adds[column] / 1e6:.1f} M", fontsize=7)
            for axes in (above, below):
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
        figure.colorbar(drawn, ax=panels.ravel().tolist(), label="units", fraction=0.02, pad=0.01)


AS_IT_IS = Variant("as_it_is", ())
VERSION = 1
"""Older evaluations are done again."""
JUDGED = 16
"""Images whose gradient is looked at."""
SETTLED = 20
"""Batches in which the norms of a network that has learnt nothing get to know what they see."""
SHOWN = 12


@dataclass(frozen=True)
class LatentRow:
    """A number of latents at a stage of training.  ratio: of the variances, where both are positive."""

    stage: str
    latents: int
    score_function: float
    relaxed: float
    ratio: float | None


def plan_residual(recipe: str, seeds: Sequence[int], overrides: Sequence[str], out: Path) -> list[StudyRun]:
    """The runs of a study, one for each seed.

    Raises:
        RecipeError: the recipe trains no residual network, or as `study_run.plan`.
        TrainingError: as `study_run.plan`.
    """
    if not isinstance(load_recipe(recipe), ResidualRecipe):
        raise RecipeError(f"{recipe} trains no residual network: choose one that does, such as psact_digits")
    return plan(recipe, [AS_IT_IS], seeds, overrides, out)


def judge(trained: StudyRun, draws: int) -> dict[str, Any]:
    """The evaluation of a finished run, as JSON holds it, done once.

    metrics: in the way that it is meant to be used.  by_kind: the same network run as each kind of block.
    spreads: gradient variances, of a network that has learnt nothing and of this one.

    Raises:
        ModelError: the weights are damaged.
        StorageError: the file cannot be written.
    """

    def figures() -> dict[str, Any]:
        network, recipe = _network(trained), _recipe(trained)
        batch = _held_out(recipe, recipe.evaluation.size)
        kind = recipe.model.block_kind.by(recipe.objective.evaluation_halting)
        patch = recipe.model.patch
        return {
            "metrics": evaluate_images(network, batch, kind).metrics(),
            "by_kind": {
                name: evaluate_images(network, batch, block_kind(name, patch)).metrics()
                for name in BLOCK_OBJECTIVES
            },
            "draws": draws,
            "spreads": [one._asdict() for one in _spreads(network, recipe, draws)],
        }

    return judged_once(trained, VERSION * 1_000_000 + draws, figures)


def report(runs: Sequence[StudyRun], out: Path, command: str, draws: int) -> list[LatentRow]:
    """Write all files of the study about its finished runs, and sum up its gradients.

    Raises:
        TrainingError: none is finished.
        StorageError: a file cannot be written.
    """
    done = [run for run in runs if run.finished]
    if not done:
        raise TrainingError(f"{out} holds no finished run: leave out --no-train to train them")
    records = [_record(run, draws) for run in done]
    by_seed = [[LatentSpread(**one) for one in r["evaluation"]["spreads"]] for r in records]
    spreads = [one for found in by_seed for one in found]
    results = {"command": command, "versions": current_versions(), "runs": records}
    write_text(out / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_text(out / "gradients.csv", latent_csv([run.seed for run in done], by_seed))
    write_text(out / "summary.md", _summary(records, spreads, command))
    plot_latents(spreads, out)
    _plot_computation(done[0], out)
    return _rows(spreads)


def _rows(spreads: Sequence[LatentSpread]) -> list[LatentRow]:
    """Geometric means over seeds."""
    rows = []
    for stage, latents in dict.fromkeys((s.stage, s.latents) for s in spreads):
        score, relaxed = (
            mean_variance(variances(spreads, stage, latents, name)) for name in (SCORE, RELAXED)
        )
        rows.append(LatentRow(stage, latents, score, relaxed, variance_ratio(spreads, stage, latents)))
    return rows


def _spreads(network: ResidualNetwork, recipe: ResidualRecipe, draws: int) -> list[LatentSpread]:
    """At the start and at the end of training."""
    train = open_streams(recipe.data).train

    def batch(index: int) -> Labelled:
        return labelled(train.batch(JUDGED, recipe.seed, recipe.steps + index))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        fresh = ResidualNetwork(recipe.model)
    with torch.no_grad():
        for index in range(1, SETTLED + 1):
            fresh(batch(index).images)
    penalty = getattr(recipe.objective, "time_penalty", 0.0)
    return [
        spread
        for stage, at in (("start", fresh.eval()), ("end", network))
        for spread in latent_spreads(at, stage, penalty, batch, recipe.seed, draws, FITTED)
    ]


def _record(run: StudyRun, draws: int) -> dict[str, Any]:
    history = run.history()
    return {
        "seed": run.seed,
        "folder": f"{run.folder.parent.name}/{run.folder.name}",
        "seconds": history[-1]["seconds"],
        "recipe": run.recipe.model_dump(mode="json"),
        "evaluation": judge(run, draws),
        "history": history,
    }


def _summary(records: Sequence[dict[str, Any]], spreads: Sequence[LatentSpread], command: str) -> str:
    kinds = list(records[0]["evaluation"]["by_kind"])
    lines = [
        "# Residual networks that think\n",
        f"`{command}`\n",
        "The same networks run as each kind of block; means over seeds.\n",
        "| run as | accuracy | units of block 1 | 2 | 3 | active positions | million multiply-adds |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in kinds:
        figures = [record["evaluation"]["by_kind"][kind] for record in records]
        of = {name: mean(one[name] for one in figures) for name in figures[0]}
        units = " | ".join(f"{of[f'units_{i}']:.2f}" for i in (1, 2, 3))
        lines.append(
            f"| {kind} | {of['accuracy']:.2%} | {units} | {of['active_share']:.1%} | "
            f"{of['multiply_adds'] / 1e6:.2f} |"
        )
    draws = records[0]["evaluation"]["draws"]
    lines += [
        "\nVariance of the gradient of the mean loss of "
        f"{JUDGED} images, {draws} draws, nats², summed over the parameters of all halting maps; ratio: "
        "score function over relaxed; and the squared length of the mean gradient. Means over seeds.\n",
        *latent_table(spreads),
        "",
    ]
    return "\n".join(lines)


def _plot_computation(run: StudyRun, out: Path) -> None:
    recipe = _recipe(run)
    batch = _held_out(recipe, SHOWN)
    kind = recipe.model.block_kind.by(recipe.objective.evaluation_halting)
    exam = evaluate_images(_network(run), batch, kind)
    plot_computation(batch.images, exam, 3, 3 * recipe.model.units, out / "computation")


def _held_out(recipe: ResidualRecipe, size: int) -> Labelled:
    return labelled(open_streams(recipe.data).test.fixed_set(size, recipe.evaluation.seed))


def _network(run: StudyRun) -> ResidualNetwork:
    network = load_model(run.folder / WEIGHTS).module
    assert isinstance(network, ResidualNetwork)
    return network


def _recipe(run: StudyRun) -> ResidualRecipe:
    assert isinstance(run.recipe, ResidualRecipe)
    return run.recipe
