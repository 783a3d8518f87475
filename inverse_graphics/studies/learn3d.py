"""The study of how the 3D model learns: its objectives on the same recipe and the same held-out images.

DIR/
    runs/<variant>-seed<k>/   a training run; once finished also evaluation.json and gallery.png
    results.json              everything, for programs
    summary.md                tables, for people
    curves.csv, .png, .svg    held-out figures against images seen and training time
    gallery-<variant>.png     the worst held-out images of the seed whose count accuracy is the median
    confusions.png            true against inferred counts, all seeds together
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inverse_graphics.errors import ModelError, RecipeError, TrainingError
from inverse_graphics.io.files import atomic_write, storage_error
from inverse_graphics.models.weights import current_versions
from inverse_graphics.studies.count_plot import plot_confusions, pooled
from inverse_graphics.studies.curve_plot import Line, curve, plot_curves, write_curves
from inverse_graphics.studies.judged_run import GALLERY, judge
from inverse_graphics.studies.learn3d_summary import VariantRow, summarise, variant_rows, with_labels
from inverse_graphics.studies.runs import Say, StudyRun, plan, train
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import Air3DRecipe, load_recipe
from inverse_graphics.training.run import RECIPE

OBJECTIVES = ("sleep", "wake_sleep", "elbo", "supervised/label", "supervised/set")
"""What is compared unless other variants are named."""
RESULTS, SUMMARY, CURVES, CONFUSIONS = "results.json", "summary.md", "curves.csv", "confusions.png"


def plan_study(
    recipe: str, variants: Sequence[Variant], seeds: Sequence[int], overrides: Sequence[str], out: Path
) -> list[StudyRun]:
    """The runs of the study.

    Raises:
        RecipeError: the recipe trains no 3D model, or as `study_run.plan`.
        TrainingError: as `study_run.plan`.
    """
    if not isinstance(load_recipe(recipe), Air3DRecipe):
        raise RecipeError(f"{recipe} trains no 3D model: choose a recipe that does, such as table_top")
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
            if not train(planned, command):
                return False, errors
            judge(planned)
            if state != "is there":
                report(runs, out, command, errors)
        except (TrainingError, ModelError) as error:
            say(f"{planned.variant.name}, seed {planned.seed}: {error}")
            errors[planned.folder.name] = str(error)
    return True, errors


def report(runs: Sequence[StudyRun], out: Path, command: str, errors: dict[str, str]) -> list[VariantRow]:
    """Write all files of the study about what is there of these runs, and sum each variant up.

    Raises:
        TrainingError: nothing is there.
        StorageError: a file cannot be written.
    """
    there = [run for run in runs if run.history()]
    if not there:
        raise TrainingError(f"{out} holds no run that has been evaluated: leave out --no-train to train them")
    records = [_record(run, errors.get(run.folder.name)) for run in there]
    rows = variant_rows(records)
    _write(out / RESULTS, json.dumps(_results(records, command), indent=1, allow_nan=False) + "\n")
    _write(out / SUMMARY, summarise(records, command))
    _draw(there, records, out)
    return rows


def _draw(there: Sequence[StudyRun], records: Sequence[dict[str, Any]], out: Path) -> None:
    curves = {(run.variant.name, run.seed): curve(run) for run in there}
    write_curves(list(curves.values()), out / CURVES)
    names = list(dict.fromkeys(run.variant.name for run in there))
    labelled = {run.variant.name: with_labels(run.recipe) for run in there}
    lines = [
        Line(name, labelled[name], [one for (variant, _), one in curves.items() if variant == name])
        for name in names
    ]
    judged = [record for record in records if record["evaluation"]]
    truths = [record["evaluation"]["log_likelihood_of_truth"]["value"] for record in judged]
    plot_curves(lines, out, there[0].recipe.evaluation.size, truths[0] if truths else None)
    if judged:
        plot_confusions(_confusions(judged), out / CONFUSIONS)
    for name in names:
        _publish_gallery([record for record in judged if record["variant"] == name], out)


def _confusions(judged: Sequence[dict[str, Any]]) -> dict[str, list[list[int]]]:
    by_variant: dict[str, list[list[list[int]]]] = {}
    for record in judged:
        by_variant.setdefault(record["variant"], []).append(
            record["evaluation"]["count_confusion_true_by_inferred"]
        )
    return {name: pooled(matrices) for name, matrices in by_variant.items()}


def _publish_gallery(judged: Sequence[dict[str, Any]], out: Path) -> None:
    """The gallery of the seed that is neither the best nor the worst."""
    if not judged:
        return
    ranked = sorted(judged, key=lambda r: r["evaluation"]["figures"]["count_accuracy"]["value"])
    middle = ranked[(len(ranked) - 1) // 2]
    source = out / middle["folder"] / GALLERY
    name = middle["variant"].replace("/", "-")
    with source.open("rb") as opened, atomic_write(out / f"gallery-{name}.png") as target:
        shutil.copyfileobj(opened, target)


def _record(run: StudyRun, error: str | None) -> dict[str, Any]:
    """All that is known of a run, as JSON holds it."""
    history, (evaluation, problem) = run.history(), _judged(run)
    step, seconds = history[-1]["step"], history[-1]["seconds"]
    return {
        "variant": run.variant.name,
        "overrides": list(run.variant.overrides),
        "seed": run.seed,
        "with_labels": with_labels(run.recipe),
        "finished": run.finished,
        "error": error or problem,
        "folder": f"{run.folder.parent.name}/{run.folder.name}",
        "step": step,
        "steps": run.recipe.steps,
        "images": run.images(step),
        "seconds": seconds,
        "images_per_second": run.images(step) / seconds if seconds > 0 else None,
        "recipe": run.recipe.model_dump(mode="json"),
        "command": f"inverse-graphics train {run.folder.parent.name}/{run.folder.name}/{RECIPE}",
        "evaluation": evaluation,
        "history": history,
    }


def _judged(run: StudyRun) -> tuple[dict[str, Any] | None, str | None]:
    """The evaluation of a run that is finished, or why there is none."""
    try:
        return (judge(run) if run.finished else None), None
    except ModelError as error:
        return None, str(error)


def _results(records: Sequence[dict[str, Any]], command: str) -> dict[str, Any]:
    return {
        "study": "learn3d",
        "command": command,
        "versions": current_versions(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
        "runs": list(records),
    }


def _processor() -> str:
    """What the processor is called, or at least of which kind it is."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(errors="replace").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    with atomic_write(file, "w") as opened:
        opened.write(text)
