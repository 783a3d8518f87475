"""The runs of a study: one for each variant and seed, in a folder each, trained once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inverse_graphics.errors import RecipeError, TrainingError
from inverse_graphics.models.air3d.wake_sleep import WakeSleepSettings
from inverse_graphics.studies.variants import Variant, varied_recipe
from inverse_graphics.training.checkpoint import checkpoints
from inverse_graphics.training.precision import resolve_precision
from inverse_graphics.training.progress import HISTORY
from inverse_graphics.training.recipe import RESUMABLE, Recipe, differences, load_recipe
from inverse_graphics.training.run import CHECKPOINTS, RECIPE, WEIGHTS, BuildTask, run
from inverse_graphics.training.state import Row
from inverse_graphics.training.task import build_task as build_any_task

RUNS = "runs"


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
        """How many images the first `step` steps trained on."""
        return images_seen(self.recipe, step)


def images_seen(recipe: Recipe, step: int) -> int:
    """How many images the first `step` steps trained on; the wake phase adds images to the sleep batches."""
    objective, size = getattr(recipe, "objective", None), recipe.batch_size
    if not isinstance(objective, WakeSleepSettings):
        return step * size
    return step * size + max(0, step - objective.sleep_steps) * max(1, round(size * objective.wake_share))


def plan_runs(
    recipe: str | Path, variants: Sequence[Variant], seeds: Sequence[int], overrides: Sequence[str], out: Path
) -> list[StudyRun]:
    """The runs of all variants from all seeds, all variants from the first seed first.

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
    """A line for each phase of an objective that would begin only after the last step."""
    warnings = []
    for planned in {planned.variant.name: planned for planned in runs}.values():
        objective, steps = getattr(planned.recipe, "objective", None), planned.recipe.steps
        for key in ("sleep_steps", "warm_up_steps"):
            if getattr(objective, key, 0) >= steps:
                late = f"objective.{key} is {getattr(objective, key):,}, of {steps:,} steps"
                warnings.append(f"{planned.variant.name}: {late}: what comes after is never reached")
    return warnings


def found_runs(variants: Sequence[Variant], seeds: Sequence[int], out: Path) -> Iterator[StudyRun]:
    """The runs that are there, with the recipes that they were begun with.

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


def train_run(planned: StudyRun, how_to_resume: str, build_task: BuildTask = build_any_task) -> bool:
    """Train a run to its end, from where it was stopped; False if it was stopped again.

    Args:
        planned: the run.
        how_to_resume: the command that resumes it.
        build_task: makes the task of a recipe.

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
