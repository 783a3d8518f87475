"""Studies of the 2D model: how counting is learnt, by seed and by variant of a recipe.

DIR/
    runs/<variant>-seed<k>/   a training run, with stages/, its reconstructions at each evaluation, and
                              snapshots/, its weights at the start, in the middle and at the end; once
                              finished also evaluation.json
    results.json              everything, for programs
    summary.md                tables, for people
    curves.csv, .png, .svg    count accuracy and bound against steps and training time
    stages-<variant>.png      held-out images, and below them their reconstructions by training stage
    scanning.json, .png, .svg where each step's objects were found, by run
    confusions.png            true against inferred counts, all seeds together
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inverse_graphics.data.sources import open_streams
from inverse_graphics.errors import RecipeError, TrainingError
from inverse_graphics.evaluation.air2d import evaluate2d
from inverse_graphics.io.images import write_image
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.weights import current_versions, load_model
from inverse_graphics.studies.count_plot import CountLine, plot_confusions, plot_counting, pooled
from inverse_graphics.studies.count_summary import CountingRow, counting_rows, summarise_counting
from inverse_graphics.studies.curve_plot import curve, write_curves
from inverse_graphics.studies.runs import Say, StudyRun, judged_once, plan, train, write_text
from inverse_graphics.studies.runs import train_and_judge as every_run
from inverse_graphics.studies.scanning import plot_scanning, scanning_maps
from inverse_graphics.studies.training_stages import keeping_snapshots, recording_task, stage_sheet, stages
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.air2d_task import to_network
from inverse_graphics.training.recipe import Air2DRecipe, Recipe, load_recipe
from inverse_graphics.training.run import WEIGHTS
from inverse_graphics.training.task import Task

FORMAT_VERSION = 1
"""Older evaluations are done again."""
IWAE_SAMPLES = 5
SCANNED = 2000
"""Held-out images whose windows are mapped."""


def plan_counting(
    recipe: str, variants: Sequence[Variant], seeds: Sequence[int], overrides: Sequence[str], out: Path
) -> list[StudyRun]:
    """The runs of a study.

    Raises:
        RecipeError: the recipe trains no 2D model, or as `study_run.plan`.
        TrainingError: as `study_run.plan`.
    """
    if not isinstance(load_recipe(recipe), Air2DRecipe):
        raise RecipeError(f"{recipe} trains no 2D model: choose a recipe that does, such as multi_mnist")
    return plan(recipe, variants, seeds, overrides, out)


def train_and_judge(
    runs: Sequence[StudyRun], out: Path, command: str, say: Say
) -> tuple[bool, dict[str, str]]:
    """Train all runs and judge each, as `every_run.train_and_judge`, and keep snapshots of each."""
    return every_run(runs, judge, lambda: report(runs, out, command), command, say, _train)


def _train(planned: StudyRun, command: str) -> bool:
    def build(recipe: Recipe) -> Task:
        task = recording_task(recipe, planned.folder)
        return keeping_snapshots(task, recipe.steps, planned.folder)

    return train(planned, command, build)


def judge(trained: StudyRun) -> dict[str, Any]:
    """The evaluation of a finished run, as JSON holds it, done once for the same weights and images.

    Raises:
        ModelError: the weights are damaged.
        StorageError: the file cannot be written.
    """
    return judged_once(trained, FORMAT_VERSION, lambda: _figures(trained))


def _figures(trained: StudyRun) -> dict[str, Any]:
    network, recipe = load_model(trained.folder / WEIGHTS).module, _recipe(trained)
    assert isinstance(network, Air2D)
    judging = recipe.evaluation
    figures = evaluate2d(network, recipe, judging.size, IWAE_SAMPLES, judging.seed)
    held_out = open_streams(recipe.data).test.fixed_set(SCANNED, judging.seed).images
    return {**figures, "scanning": scanning_maps(network, to_network(held_out)).tolist()}


def _recipe(trained: StudyRun) -> Air2DRecipe:
    assert isinstance(trained.recipe, Air2DRecipe)
    return trained.recipe


def report(runs: Sequence[StudyRun], out: Path, command: str) -> list[CountingRow]:
    """Write all files of the study about what is there of these runs, and sum each variant up.

    Raises:
        TrainingError: nothing is there.
        StorageError: a file cannot be written.
    """
    there = [run for run in runs if run.history()]
    if not there:
        raise TrainingError(f"{out} holds no run that has been evaluated: leave out --no-train to train them")
    records = [_record(run) for run in there]
    rows = counting_rows(records)
    results = {"command": command, "versions": current_versions(), "runs": records}
    write_text(out / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_text(out / "summary.md", summarise_counting(records, rows, command))
    _draw(there, records, out)
    return rows


def _record(run: StudyRun) -> dict[str, Any]:
    """All that is known of a run, as JSON holds it."""
    history = run.history()
    evaluation = judge(run) if run.finished else None
    return {
        "variant": run.variant.name,
        "overrides": list(run.variant.overrides),
        "seed": run.seed,
        "finished": run.finished,
        "folder": f"{run.folder.parent.name}/{run.folder.name}",
        "step": history[-1]["step"],
        "steps": run.recipe.steps,
        "seconds": history[-1]["seconds"],
        "images_per_second": run.images(history[-1]["step"]) / max(history[-1]["seconds"], 1e-9),
        "recipe": run.recipe.model_dump(mode="json"),
        "evaluation": evaluation,
        "history": history,
    }


def _draw(there: Sequence[StudyRun], records: Sequence[dict[str, Any]], out: Path) -> None:
    names = list(dict.fromkeys(run.variant.name for run in there))
    curves = {(run.variant.name, run.seed): curve(run) for run in there}
    write_curves(list(curves.values()), out / "curves.csv")
    lines = [CountLine(name, [one for (of, _), one in curves.items() if of == name]) for name in names]
    plot_counting(lines, out, there[0].recipe.evaluation.size)
    judged = [record for record in records if record["evaluation"]]
    confusions = {name: _confusion(judged, name) for name in names}
    if any(confusions.values()):
        plot_confusions({n: matrix for n, matrix in confusions.items() if matrix}, out / "confusions.png")
    if judged:
        maps = {f"{r['variant']}, {r['seed']}": np.array(r["evaluation"]["scanning"]) for r in judged}
        plot_scanning(maps, out)
        write_text(out / "scanning.json", json.dumps({name: of.tolist() for name, of in maps.items()}) + "\n")
    for name in names:
        _publish_stages(next(run for run in there if run.variant.name == name), out)


def _confusion(judged: Sequence[dict[str, Any]], name: str) -> list[list[int]]:
    key = "count_confusion_true_by_inferred"
    return pooled([r["evaluation"][key] for r in judged if r["variant"] == name and key in r["evaluation"]])


def _publish_stages(run: StudyRun, out: Path) -> None:
    kept = stages(run.folder)
    if kept:
        _, sheet = stage_sheet(kept)
        write_image(out / f"stages-{run.variant.file_name}.png", sheet)
