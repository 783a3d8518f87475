"""Records of a training run: reconstructions at each evaluation, and weight snapshots at three stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.errors import ModelError
from inverse_graphics.io.files import storage_error
from inverse_graphics.io.images import read_image, write_image
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.tensor_file import load_tensors, save_tensors
from inverse_graphics.training.recipe import Air2DRecipe, Recipe
from inverse_graphics.training.task import Evaluation, Task, build_task

STAGES = "stages"
PICTURE = "reconstruction"
SHOWN = 8
"""Largest number of stages on a sheet: the first, the last, and others at increasing intervals."""
GAP = 2
"""Width of the white lines between images, pixels."""
ENLARGED = 2
"""Factor by which images are enlarged."""


def recording_task(recipe: Recipe, folder: Path) -> Task:
    """Build a recipe's task that also writes the reconstructions of each evaluation to `folder/stages`.

    Raises:
        StorageError: a file cannot be written.
    """
    task, done = build_task(recipe), [0]

    def batch(step: int) -> Any:
        done[0] = step + 1
        return task.batch(step)

    def evaluate() -> Evaluation:
        evaluation = task.evaluate()
        if PICTURE in evaluation.images:
            _keep(folder / STAGES, done[0], evaluation.images[PICTURE])
        return evaluation

    return replace(task, batch=batch, evaluate=evaluate)


def stages(folder: Path) -> list[tuple[int, Path]]:
    """The recorded reconstructions of a run as (step, file), in order."""
    files = sorted((folder / STAGES).glob("step-*.png"))
    return [(int(file.stem.removeprefix("step-")), file) for file in files]


def stage_sheet(kept: list[tuple[int, Path]]) -> tuple[list[int], NDArray[np.float32]]:
    """Draw the images once, and below them their reconstructions at several stages.

    Args:
        kept: (step, file) of each recorded stage; a file has the images above their reconstructions.

    Returns:
        The sheet (H, W, 3), and the steps that it shows.
    """
    chosen = [kept[index] for index in spread(len(kept))]
    images = [read_image(file) for _, file in chosen]
    half = len(images[0]) // 2
    rows = [images[0][:half], *(image[half:] for image in images)]
    down = _spaced([_spaced(np.split(row, row.shape[1] // half, axis=1), axis=1) for row in rows], axis=0)
    return [step for step, _ in chosen], down.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def _spaced(images: list[NDArray[np.float32]], axis: int) -> NDArray[np.float32]:
    """Concatenate images horizontally (axis 1) or vertically (axis 0), with white lines between them."""
    shape = list(images[0].shape)
    shape[axis] = GAP
    gap = np.ones(shape, np.float32)
    return np.concatenate([part for image in images for part in (image, gap)][:-1], axis)


def spread(number: int) -> list[int]:
    """Choose at most `SHOWN` of `number` indices at increasing intervals, with the first and the last."""
    if number <= SHOWN:
        return list(range(number))
    wanted = np.geomspace(1, number, SHOWN).round().astype(int) - 1
    for place in range(1, SHOWN):
        wanted[place] = max(wanted[place], wanted[place - 1] + 1)
    return [int(index) for index in wanted]


def _keep(folder: Path, step: int, image: NDArray[np.float32]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    write_image(folder / f"step-{step:08d}.png", image)


SNAPSHOTS = "snapshots"


def stage_steps(steps: int) -> dict[str, int]:
    """The number of steps at each stage of a run of `steps` steps."""
    return {"start": 0, "middle": steps // 2, "end": steps - 1}


def keeping_snapshots(task: Task, steps: int, folder: Path) -> Task:
    """Extend a task to write the weights of each stage, not averaged, to `folder/snapshots`.

    Raises:
        StorageError: a file cannot be written.
    """
    network = next(part for part in task.trainable.module.modules() if isinstance(part, Air2D))
    wanted = set(stage_steps(steps).values())

    def batch(step: int) -> Any:
        if step in wanted:
            _keep_network(network, snapshot_file(folder, step))
        return task.batch(step)

    return replace(task, batch=batch)


def has_snapshots(folder: Path, steps: int) -> bool:
    """Whether the snapshots of all stages of a run exist."""
    return all(snapshot_file(folder, step).is_file() for step in stage_steps(steps).values())


def read_snapshot(folder: Path, recipe: Air2DRecipe, step: int) -> Air2D:
    """Load the network of a run as it was after `step` steps.

    Raises:
        ModelError: the file is missing or damaged.
    """
    with torch.random.fork_rng(devices=[]):
        network = Air2D(recipe.model)
    network.load_state_dict(load_tensors(snapshot_file(folder, step), network.state_dict(), ModelError))
    return network


def snapshot_file(folder: Path, step: int) -> Path:
    """The file of a run's weights after `step` steps."""
    return folder / SNAPSHOTS / f"step-{step:08d}.safetensors"


def _keep_network(network: Air2D, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    save_tensors(network.state_dict(), file)
