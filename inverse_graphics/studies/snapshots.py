"""Networks as they were at the start, in the middle and at the end of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inverse_graphics.errors import ModelError
from inverse_graphics.files import storage_error
from inverse_graphics.models.air2d import Air2D
from inverse_graphics.models.tensor_file import load_tensors, save_tensors
from inverse_graphics.training.air2d_task import Air2DTrainable
from inverse_graphics.training.recipe import Air2DRecipe
from inverse_graphics.training.task import Task

SNAPSHOTS = "snapshots"


def stage_steps(steps: int) -> dict[str, int]:
    """How many steps have been done at each stage of a run of so many."""
    return {"start": 0, "middle": steps // 2, "end": steps - 1}


def keeping_snapshots(task: Task, steps: int, folder: Path) -> Task:
    """The same task, which writes the weights of each stage, as they are trained, to `folder/snapshots`.

    Raises:
        StorageError: they cannot be written.
    """
    assert isinstance(task.trainable, Air2DTrainable)
    network, wanted = task.trainable.network, set(stage_steps(steps).values())

    def batch(step: int) -> Any:
        if step in wanted:
            _keep_network(network, snapshot_file(folder, step))
        return task.batch(step)

    return replace(task, batch=batch)


def has_snapshots(folder: Path, steps: int) -> bool:
    """Whether those of all stages of a run are there."""
    return all(snapshot_file(folder, step).is_file() for step in stage_steps(steps).values())


def read_snapshot(folder: Path, recipe: Air2DRecipe, step: int) -> Air2D:
    """The network of a run as it was after so many steps.

    Raises:
        ModelError: the file is missing or damaged.
    """
    with torch.random.fork_rng(devices=[]):
        network = Air2D(recipe.model)
    network.load_state_dict(load_tensors(snapshot_file(folder, step), network.state_dict(), ModelError))
    return network


def snapshot_file(folder: Path, step: int) -> Path:
    """Where the weights of a run after so many steps lie."""
    return folder / SNAPSHOTS / f"step-{step:08d}.safetensors"


def _keep_network(network: Air2D, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    save_tensors(network.state_dict(), file)
