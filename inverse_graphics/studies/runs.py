"""The runs of a study: one per variant and seed, each in its own folder."""

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
    """The training run of one variant and seed; its folder need not exist yet."""

    variant: Variant
    seed: int
    recipe: Recipe
    folder: Path

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return bool(checkpoints(self.folder / CHECKPOINTS))

    @property
    def finished(self) -> bool:
        """Whether the last step was done and the weights exist."""
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
        """The number of images in the first `step` training steps."""
        return images_seen(self.recipe, step)


def images_seen(recipe: Recipe, step: int) -> int:
    """The number of images in the first `step` training steps, those of the wake phase included."""
    objective, size = getattr(recipe, "objective", None), recipe.batch_size
    if not isinstance(objective, WakeSleepSettings):
        return step * size
    return step * size + max(0, step - objective.sleep_steps) * max(1, round(size * objective.wake_share))


def plan_runs(
    recipe: str | Path, variants: Sequence[Variant], seeds: Sequence[int], overrides: Sequence[str], out: Path
) -> list[StudyRun]:
    """Build the runs of all variants and seeds, ordered by seed and then by variant.

    Raises:
        RecipeError: a variant or an override does not fit the recipe.
        TrainingError: an existing run in `out` has another recipe, or is beyond the recipe's last step.
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
    """Warnings about phases of objectives that would begin after the last step."""
    warnings = []
    for planned in {planned.variant.name: planned for planned in runs}.values():
        objective, steps = getattr(planned.recipe, "objective", None), planned.recipe.steps
        for key in ("sleep_steps", "warm_up_steps"):
            if getattr(objective, key, 0) >= steps:
                late = f"objective.{key} is {getattr(objective, key):,}, of {steps:,} steps"
                warnings.append(f"{planned.variant.name}: {late}: the next phase is never reached")
    return warnings


def found_runs(variants: Sequence[Variant], seeds: Sequence[int], out: Path) -> Iterator[StudyRun]:
    """Find the existing runs, with their recipes.

    Raises:
        RecipeError: the recipe of a run is damaged.
    """
    for seed in seeds:
        for variant in variants:
            folder = run_folder(out, variant, seed)
            if (folder / RECIPE).is_file():
                yield StudyRun(variant, seed, load_recipe(folder / RECIPE), folder)


def run_folder(out: Path, variant: Variant, seed: int) -> Path:
    """The folder of the run of a variant and seed."""
    return out / RUNS / f"{variant.file_name}-seed{seed}"


def train_run(planned: StudyRun, how_to_resume: str, build_task: BuildTask = build_any_task) -> bool:
    """Train a run to its end, resuming it if it was interrupted; returns False if it was interrupted again.

    Args:
        planned: the run.
        how_to_resume: the command that resumes it.
        build_task: builds the task of a recipe.

    Raises:
        TrainingError, StorageError: see `training.run.run`.
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
            f"{planned.folder} was trained with another recipe (other {', '.join(changed)}): "
            "choose another --out"
        )
    done = max((row["step"] for row in planned.history()), default=0)
    if done > planned.recipe.steps:
        raise TrainingError(
            f"{planned.folder} is at step {done:,}, beyond the requested {planned.recipe.steps:,}: "
            "set steps to more, or choose another --out"
        )
