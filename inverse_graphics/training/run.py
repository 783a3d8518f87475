"""A run of a recipe, from an empty folder or a checkpoint to trained weights.

runs/<recipe>-seed<k>/
    recipe.yaml      the recipe, defaults and overrides written out
    history.jsonl    one line per evaluation: step, seconds of training, figures
    checkpoints/     the latest two
    tensorboard/     scalars and images
    weights/         the trained model, once the run is done
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import torch
from rich.console import Console

from inverse_graphics.devices import resolve_device
from inverse_graphics.errors import RecipeError, TrainingError, require_extras
from inverse_graphics.io.documents import validated
from inverse_graphics.io.files import atomic_write, storage_error
from inverse_graphics.models.weights import DOCUMENT
from inverse_graphics.packs.pack import Pack
from inverse_graphics.training.checkpoint import checkpoints, read_document_of, restore_checkpoint
from inverse_graphics.training.precision import resolve_precision
from inverse_graphics.training.progress import Display, RunLog, display_for
from inverse_graphics.training.recipe import (
    RESUMABLE,
    Air3DRecipe,
    Recipe,
    differences,
    load_recipe,
    recipe_class,
    with_earlier_values,
)
from inverse_graphics.training.state import Row, TrainingState
from inverse_graphics.training.task import Task
from inverse_graphics.training.task import build_task as build_any_task
from inverse_graphics.training.trainer import StopRequest, Trainer

RECIPE, CHECKPOINTS, WEIGHTS = "recipe.yaml", "checkpoints", "weights"

BuildTask = Callable[[Recipe], Task]


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        folder: The run's folder.
        step: Steps done.
        seconds: Seconds of training, evaluations not counted.
        finished: False if it was interrupted before the last step.
        history: One row per evaluation: step, seconds, and figures of training and on held-out data.
        weights: The model's folder, which `load_model` and `load_parser` take; None unless finished.
    """

    folder: Path
    step: int
    seconds: float
    finished: bool
    history: tuple[Row, ...]
    weights: Path | None


def run_folder(recipe: Recipe, parent: Path = Path("runs")) -> Path:
    """The default folder of a run."""
    return parent / f"{recipe.name}-seed{recipe.seed}"


def train(
    recipe: str | Path | Recipe,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    device: str | None = None,
    packs: Sequence[Pack] = (),
    resume: bool = False,
    how_to_resume: str | None = None,
) -> TrainingResult:
    """Train a model.

    Progress goes to stderr. Ctrl-C ends the run after the current step, with a checkpoint.

    Args:
        recipe: A shipped recipe's name, a .yaml file, or a recipe.
        out: The run's folder, for checkpoints, logs and the trained model; runs/NAME-seedN if not given.
        overrides: Settings of a named recipe or a file that are changed, such as "steps=500" or
            "optimiser.learning_rate=5e-4".
        device: "cpu", "cuda" or "cuda:N"; the recipe's if not given.
        packs: Asset packs of your own for a 3D recipe; if its family names none of their objects, all of them
            take the place of its kinds.
        resume: Continue from the latest checkpoint in the folder.
        how_to_resume: The command that continues a run, for the message of one that was stopped.

    Returns:
        The model's folder and the history of the run.

    Raises:
        RecipeError: No such recipe, or it or an override is not valid.
        DeviceError: This machine has no such device.
        DataError: Data is missing and cannot be fetched.
        TrainingError: The folder already holds a run, or none to resume, or another recipe's; or the training
            diverged.
        MissingExtraError: The packages for training are not installed.
        StorageError: A file could not be written; the latest checkpoint is unchanged.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    if packs:
        recipe = _with_packs(recipe, packs)
    if device is not None:
        recipe = recipe.model_copy(update={"device": device})
    folder = run_folder(recipe) if out is None else Path(out)
    return run(recipe, folder, resume=resume, how_to_resume=how_to_resume)


def export_run(run_dir: str | Path, out: str | Path | None = None, *, console: Console | None = None) -> Path:
    """Write the model of a run, finished, stopped or killed, from its latest checkpoint.

    Progress goes to stderr.

    Args:
        run_dir: The run's folder.
        out: The model's folder; `weights` in the run's folder if not given.
        console: For progress; stderr if not given.

    Returns:
        The model's folder, which `load_model` and `load_parser` take.

    Raises:
        TrainingError: The folder holds no checkpoint, the latest is damaged, or `out` is something other than
            a model's folder.
        DeviceError: This machine does not have the run's device.
        DataError: Data is missing and cannot be fetched.
        AssetError: An asset pack of the run is missing.
        MissingExtraError: The packages for training are not installed.
        StorageError: A file could not be written.
    """
    require_extras("models export", "train")
    run_dir = Path(run_dir)
    folder = run_dir / WEIGHTS if out is None else Path(out)
    if folder.exists() and not (folder / DOCUMENT).is_file() and not _is_empty(folder):
        raise TrainingError(f"{folder} is not the folder of a model: choose one that is new or empty")
    found = checkpoints(run_dir / CHECKPOINTS)
    if not found:
        raise TrainingError(
            f"{run_dir} holds no checkpoint: expected the folder of a run with {CHECKPOINTS}/step-…, "
            "which is written after checkpoint_every steps"
        )
    content = read_document_of(found[-1]).recipe
    recipe = validated(recipe_class(content, str(found[-1])), content, str(found[-1]), TrainingError)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    task = build_any_task(recipe)
    state = TrainingState.begin(task.trainable, recipe.optimiser, recipe.steps, recipe.seed)
    restore_checkpoint(found[-1], state)
    with display_for(console or Console(stderr=True), recipe.steps, state.counters.step) as display:
        display.message(f"{recipe.name}: step {state.counters.step:,} of {recipe.steps:,}, {found[-1]}")
        _export(recipe, task, state, folder, display)
    return folder


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _with_packs(recipe: Recipe, packs: Sequence[Pack]) -> Recipe:
    if not isinstance(recipe, Air3DRecipe):
        raise RecipeError(
            f"recipe {recipe.name} trains no 3D model: expected one with model.family for --pack"
        )
    family = recipe.model.family.with_packs(packs)
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"family": family})})


def run(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    build_task: BuildTask = build_any_task,
    console: Console | None = None,
    how_to_resume: str | None = None,
) -> TrainingResult:
    """Train a recipe in `folder`, from the start or, with `resume`, from its latest checkpoint.

    Ctrl-C and SIGTERM end the run after the current step, with a checkpoint.

    Args:
        recipe: of the run.
        folder: of the run.
        resume: continue from the latest checkpoint.
        build_task: builds the task of the recipe.
        console: for progress, stderr by default.
        how_to_resume: the command that continues a run, for the message of one that was stopped.

    Raises:
        DeviceError: this machine does not have the recipe's device.
        MissingExtraError: the packages for training are not installed.
        TrainingError: the folder already holds a run, or holds none to resume, or one of another recipe or
            with damaged checkpoints; or the training diverged.
        StorageError: a file could not be written; the latest checkpoint is unchanged.

    """
    require_extras("training", "train")
    resolve_device(recipe.device)
    console = console or Console(stderr=True)
    latest, before = _latest(recipe, folder, resume)
    recipe, precision = resolve_precision(recipe, before)
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    task = build_task(recipe)
    state = TrainingState.begin(task.trainable, recipe.optimiser, recipe.steps, recipe.seed)
    if latest is not None:
        restore_checkpoint(latest, state)
    _write_recipe(recipe, folder)
    with (
        RunLog(folder, state.counters.history) as log,
        display_for(console, recipe.steps, state.counters.step) as display,
        StopRequest() as stop,
    ):
        display.message(_opening(recipe, folder, state))
        if precision is not None:
            display.message(precision)
        finished = Trainer(recipe, task, state, folder / CHECKPOINTS, log, display).train(stop)
        if finished:
            _export(recipe, task, state, folder / WEIGHTS, display)
        else:
            command = how_to_resume or f"inverse-graphics train {recipe.name} --resume"
            display.message(f"stopped after step {state.counters.step:,} and saved; to continue: {command}")
            display.message(f"to use it as it is: inverse-graphics models export {shlex.quote(str(folder))}")
    return _result(folder, state, finished)


def _latest(recipe: Recipe, folder: Path, resume: bool) -> tuple[Path, Recipe] | tuple[None, None]:
    """The checkpoint to continue from and its recipe, None for a new run."""
    found = checkpoints(folder / CHECKPOINTS)
    if found and not resume:
        raise TrainingError(
            f"{folder} already holds a run, at {found[-1].name}: add --resume to continue it, delete the "
            "folder, or choose another"
        )
    if resume and not found:
        raise TrainingError(f"{folder} holds no checkpoint to resume: omit --resume to start a run")
    if not found:
        return None, None
    document = read_document_of(found[-1])
    if document.counters.step > recipe.steps:
        raise TrainingError(
            f"{folder} is at step {document.counters.step:,}, beyond the {recipe.steps:,} of the recipe: "
            "set steps to more"
        )
    if recipe_class(document.recipe, str(found[-1])) is not type(recipe):
        raise TrainingError(f"{folder} holds a run of another type of model: choose another folder")
    stored = with_earlier_values(document.recipe)
    before = validated(type(recipe), stored, str(found[-1]), TrainingError)
    keys = differences(before, resolve_precision(recipe, before)[0])
    changed = [key for key in keys if not {key, key.partition(".")[0]} & RESUMABLE]
    if changed:
        raise TrainingError(
            f"{folder} was trained with another recipe (other {', '.join(changed)}): resume it with the "
            "same, or choose another folder"
        )
    return found[-1], before


def _write_recipe(recipe: Recipe, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    with atomic_write(folder / RECIPE, "w") as file:
        file.write(recipe.to_yaml())


def _opening(recipe: Recipe, folder: Path, state: TrainingState) -> str:
    weights = sum(parameter.numel() for parameter in state.module.parameters())
    return (
        f"{'resuming' if state.counters.step else 'training'} {recipe.name}, seed {recipe.seed}, "
        f"step {state.counters.step:,} of {recipe.steps:,}: {weights:,} weights, batches of "
        f"{recipe.batch_size}, {torch.get_num_threads()} threads; output: {folder}"
    )


def _export(recipe: Recipe, task: Task, state: TrainingState, folder: Path, display: Display) -> None:
    """Write the model, with the latest evaluation's figures, or those of one made now if it was earlier."""
    counters, begun = state.counters, perf_counter()
    with state.evaluation_mode():
        if counters.history and counters.history[-1]["step"] == counters.step:
            metrics = counters.history[-1]["held_out"]
        else:
            display.message(f"evaluating on {recipe.evaluation.size:,} held-out images")
            metrics = {name: float(value) for name, value in task.evaluate().metrics.items()}
        if counters.step < recipe.steps:
            metrics = {**metrics, "trained_steps": float(counters.step)}
        task.export(folder, metrics, display.message)
    display.message(
        f"trained in {counters.seconds:.0f} s, written in {perf_counter() - begun:.0f} s; "
        f"the model is in {folder}"
    )


def _result(folder: Path, state: TrainingState, finished: bool) -> TrainingResult:
    counters = state.counters
    return TrainingResult(
        folder=folder,
        step=counters.step,
        seconds=counters.seconds,
        finished=finished,
        history=tuple(counters.history),
        weights=folder / WEIGHTS if finished else None,
    )
