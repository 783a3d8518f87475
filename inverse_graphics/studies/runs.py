"""The runs of a study: one for each variant and seed, in a folder each, trained once.

All runs of a study, one after the other: train, judge, report, and what they leave on the disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inverse_graphics.errors import ModelError, RecipeError, TrainingError
from inverse_graphics.io.documents import read_document
from inverse_graphics.io.files import atomic_write, storage_error
from inverse_graphics.models.air3d.wake_sleep import WakeSleepSettings
from inverse_graphics.models.weights import WEIGHTS as TENSORS
from inverse_graphics.studies.variants import Variant, varied_recipe
from inverse_graphics.training.checkpoint import checkpoints
from inverse_graphics.training.precision import resolve_precision
from inverse_graphics.training.progress import HISTORY
from inverse_graphics.training.recipe import RESUMABLE, Recipe, differences, load_recipe
from inverse_graphics.training.run import CHECKPOINTS, RECIPE, WEIGHTS, BuildTask, run
from inverse_graphics.training.state import Row
from inverse_graphics.training.tasks import build_task as build_any_task

RUNS = "runs"
Say = Callable[[str], None]


@dataclass(frozen=True)
class StudyRun:
    """One variant from one seed, and the folder of its run, which need not be there yet."""

    variant: Variant
    seed: int
    recipe: Recipe
    folder: Path

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return bool(checkpoints(self.folder / CHECKPOINTS))

    @property
    def finished(self) -> bool:
        """Whether it has come to its last step, and its weights are there."""
        history = self.history()
        return bool(history) and history[-1]["step"] == self.recipe.steps and (self.folder / WEIGHTS).is_dir()

    def history(self) -> list[Row]:
        """One row per evaluation so far.

        Raises:
            TrainingError: the file is damaged.
        """
        file = self.folder / HISTORY
        if not file.is_file():
            return []
        try:
            return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise TrainingError(f"cannot read {file}: {error}; delete the run's folder") from error

    def images(self, step: int) -> int:
        """How many images were learnt from in the first `step` steps."""
        return images_seen(self.recipe, step)


def images_seen(recipe: Recipe, step: int) -> int:
    """Images learnt from in the first `step` steps; once awake, wake-sleep sees some beside the dreams."""
    objective, size = getattr(recipe, "objective", None), recipe.batch_size
    if not isinstance(objective, WakeSleepSettings):
        return step * size
    return step * size + max(0, step - objective.sleep_steps) * max(1, round(size * objective.wake_share))


def plan(
    recipe: str | Path, variants: Sequence[Variant], seeds: Sequence[int], overrides: Sequence[str], out: Path
) -> list[StudyRun]:
    """The runs that a study wants, all variants from the first seed first.

    Raises:
        RecipeError: a variant or an override does not fit the recipe.
        TrainingError: a run that was begun in `out` has another recipe, or has come further.
    """
    if any(override.partition("=")[0] == "seed" for override in overrides):
        raise RecipeError("seed cannot be set for all runs of a study: choose them by --seeds")
    runs = []
    for seed in seeds:
        for variant in variants:
            varied = varied_recipe(recipe, variant, [*overrides, f"seed={seed}"])
            runs.append(StudyRun(variant, seed, varied, run_folder(out, variant, seed)))
    for planned in runs:
        _check_is_the_same(planned)
    return runs


def schedule_warnings(runs: Sequence[StudyRun]) -> list[str]:
    """Where an objective is to change its ways only after the last step: one line each."""
    warnings = []
    for planned in {planned.variant.name: planned for planned in runs}.values():
        objective, steps = getattr(planned.recipe, "objective", None), planned.recipe.steps
        for key in ("sleep_steps", "warm_up_steps"):
            if getattr(objective, key, 0) >= steps:
                late = f"objective.{key} is {getattr(objective, key):,}, of {steps:,} steps"
                warnings.append(f"{planned.variant.name}: {late}: what comes after is never reached")
    return warnings


def found(variants: Sequence[Variant], seeds: Sequence[int], out: Path) -> Iterator[StudyRun]:
    """Those of a study's runs that are there, with the recipes that they were begun with.

    Raises:
        RecipeError: the recipe of one is damaged.
    """
    for seed in seeds:
        for variant in variants:
            folder = run_folder(out, variant, seed)
            if (folder / RECIPE).is_file():
                yield StudyRun(variant, seed, load_recipe(folder / RECIPE), folder)


def run_folder(out: Path, variant: Variant, seed: int) -> Path:
    """Where a variant's run from a seed lies."""
    return out / RUNS / f"{variant.file_name}-seed{seed}"


def train(planned: StudyRun, how_to_resume: str, build_task: BuildTask = build_any_task) -> bool:
    """Train a run to its end, going on where it was stopped; False if it was stopped again.

    build_task: makes of the recipe what is trained.

    Raises:
        TrainingError, StorageError: as `training.run.run`.
    """
    if planned.finished:
        return True
    return run(
        planned.recipe,
        planned.folder,
        resume=planned.begun,
        build_task=build_task,
        how_to_resume=how_to_resume,
    ).finished


def _check_is_the_same(planned: StudyRun) -> None:
    file = planned.folder / RECIPE
    if not planned.begun or not file.is_file():
        return
    before = load_recipe(file)
    if type(before) is not type(planned.recipe):
        changed = ["model.kind"]
    else:
        keys = differences(before, resolve_precision(planned.recipe, before)[0])
        changed = [key for key in keys if key.partition(".")[0] not in RESUMABLE]
    if changed:
        raise TrainingError(
            f"{planned.folder} was begun with another recipe (other {', '.join(changed)}): "
            "choose another --out"
        )
    done = max((row["step"] for row in planned.history()), default=0)
    if done > planned.recipe.steps:
        raise TrainingError(
            f"{planned.folder} is at step {done:,}, beyond the {planned.recipe.steps:,} asked for: "
            "set steps to more, or choose another --out"
        )


EVALUATION = "evaluation.json"
Figures = dict[str, Any]


def train_and_judge(
    runs: Sequence[StudyRun],
    judge: Callable[[StudyRun], Figures],
    report: Callable[[], object],
    command: str,
    say: Say,
    train: Callable[[StudyRun, str], bool] = train,
) -> tuple[bool, dict[str, str]]:
    """Train all runs and judge each; False if asked to stop before the end.

    train: given a run and the command that goes on, trains it to its end; False if it was stopped.
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
                report()
        except (TrainingError, ModelError) as error:
            say(f"{planned.variant.name}, seed {planned.seed}: {error}")
            errors[planned.folder.name] = str(error)
    return True, errors


def judged_once(trained: StudyRun, version: int, figures: Callable[[], Figures]) -> Figures:
    """The figures of a finished run, made anew only for other weights, held-out data or version.

    Raises:
        StorageError: the file beside the run cannot be written.
    """
    content = (trained.folder / WEIGHTS / TENSORS).read_bytes()
    asked = {
        "version": version,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "evaluation": trained.recipe.evaluation.model_dump(mode="json", include={"size", "seed"}),
    }
    file = trained.folder / EVALUATION
    kept = _kept(file)
    if kept.get("of") == asked:
        return kept
    made = {"of": asked, **figures()}
    write_text(file, json.dumps(made, allow_nan=False) + "\n")
    return made


def write_text(file: Path, text: str) -> None:
    """Write a file whole, and its folder if there is none.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    with atomic_write(file, "w") as opened:
        opened.write(text)


def _kept(file: Path) -> Figures:
    """An earlier evaluation; nothing where there is none, or none that can be read."""
    try:
        document = read_document(file, TrainingError)
    except TrainingError:
        return {}
    return document if isinstance(document, dict) else {}
