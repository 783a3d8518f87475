"""Studies of the 2D model: how counting is learnt, by seed and by variant of a recipe.

DIR/
    runs/<variant>-seed<k>/   a training run, with stages/, its reconstructions at each evaluation; once
                              finished also evaluation.json
    results.json              everything, for programs
    summary.md                tables, for people
    curves.csv, .png, .svg    count accuracy and bound against steps and training time
    stages-<variant>.png      held-out images, and below them their reconstructions by training stage
    scanning.json, .png, .svg where each step's objects were found, by run
    confusions.png            true against inferred counts, all seeds together
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inverse_graphics.data.kinds import open_streams
from inverse_graphics.documents import read_document
from inverse_graphics.errors import ModelError, RecipeError, TrainingError
from inverse_graphics.files import atomic_write, storage_error
from inverse_graphics.formats import write_image
from inverse_graphics.models.air2d import Air2D
from inverse_graphics.models.weights import WEIGHTS as TENSORS
from inverse_graphics.models.weights import current_versions, load_model
from inverse_graphics.report.evaluation2d import evaluate2d
from inverse_graphics.studies.confusion_plot import plot_confusions, pooled
from inverse_graphics.studies.count_plot import CountLine, plot_counting
from inverse_graphics.studies.count_summary import CountingRow, counting_rows, summarise_counting
from inverse_graphics.studies.curves import curve, write_curves
from inverse_graphics.studies.scanning import plot_scanning, scanning_maps
from inverse_graphics.studies.stages import recording_task, stage_sheet, stages
from inverse_graphics.studies.study_run import Say, StudyRun, plan
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import Air2DRecipe, load_recipe
from inverse_graphics.training.run import WEIGHTS, run

EVALUATION = "evaluation.json"
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
    """Train all runs, one after the other, and judge each; False if asked to stop before the end.

    After each the report is written anew. A run that ends with an error is told, and the others go on.
    Returns those errors by the runs' folders.
    """
    errors: dict[str, str] = {}
    for number, planned in enumerate(runs, start=1):
        state = "is there" if planned.finished else "goes on" if planned.begun else "begins"
        say(f"run {number} of {len(runs)}: {planned.variant.name}, seed {planned.seed}, {state}")
        try:
            if not _train(planned, command):
                return False, errors
            judge(planned)
            if state != "is there":
                report(runs, out, command)
        except (TrainingError, ModelError) as error:
            say(f"{planned.variant.name}, seed {planned.seed}: {error}")
            errors[planned.folder.name] = str(error)
    return True, errors


def _train(planned: StudyRun, command: str) -> bool:
    if planned.finished:
        return True
    return run(
        planned.recipe,
        planned.folder,
        resume=planned.begun,
        build_task=lambda recipe: recording_task(recipe, planned.folder),
        how_to_resume=command,
    ).finished


def judge(trained: StudyRun) -> dict[str, Any]:
    """The evaluation of a finished run, as JSON holds it, done once for the same weights and images.

    Raises:
        ModelError: the weights are damaged.
        StorageError: the file cannot be written.
    """
    asked = _asked(trained)
    kept = _kept(trained.folder / EVALUATION)
    if kept.get("of") == asked:
        return kept
    network = load_model(trained.folder / WEIGHTS).module
    assert isinstance(network, Air2D)
    recipe = _recipe(trained)
    figures = evaluate2d(network, recipe, recipe.evaluation.size, IWAE_SAMPLES, recipe.evaluation.seed)
    held_out = open_streams(recipe.data).held_out.fixed_set(SCANNED, recipe.evaluation.seed).images
    maps = scanning_maps(network, torch.from_numpy(held_out)[:, None])
    evaluation = {"of": asked, **figures, "scanning": maps.tolist()}
    _write(trained.folder / EVALUATION, json.dumps(evaluation, allow_nan=False) + "\n")
    return evaluation


def _recipe(trained: StudyRun) -> Air2DRecipe:
    assert isinstance(trained.recipe, Air2DRecipe)
    return trained.recipe


def _asked(trained: StudyRun) -> dict[str, Any]:
    """All that the evaluation of a run depends on."""
    content = (trained.folder / WEIGHTS / TENSORS).read_bytes()
    evaluation = trained.recipe.evaluation
    return {
        "format_version": FORMAT_VERSION,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "images": evaluation.size,
        "stream": evaluation.seed,
        "samples": IWAE_SAMPLES,
    }


def _kept(file: Path) -> dict[str, Any]:
    """An earlier evaluation; nothing where there is none, or none that can be read."""
    try:
        document = read_document(file, TrainingError)
    except TrainingError:
        return {}
    return document if isinstance(document, dict) else {}


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
    _write(out / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    _write(out / "summary.md", summarise_counting(records, rows, command))
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
        _write(out / "scanning.json", json.dumps({name: of.tolist() for name, of in maps.items()}) + "\n")
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


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    with atomic_write(file, "w") as opened:
        opened.write(text)
