"""Reconstructions by training stage: what an evaluation shows, kept, and laid one below the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.files import storage_error
from inverse_graphics.formats import read_image, write_image
from inverse_graphics.training.recipe import Recipe
from inverse_graphics.training.task import Evaluation, Task
from inverse_graphics.training.tasks import build_task

STAGES = "stages"
PICTURE = "reconstruction"
SHOWN = 8
"""Most stages on a sheet: the first, the last, and some between, ever farther apart."""
GAP = 2
"""White lines between them, pixels."""
ENLARGED = 2
"""Each pixel is drawn so many times wide and high."""


def recording_task(recipe: Recipe, folder: Path) -> Task:
    """The task of a recipe, which writes the reconstruction of each evaluation to `folder/stages`.

    Raises:
        StorageError: they cannot be written.
    """
    task, done = build_task(recipe), [0]

    def batch(step: int) -> Any:
        done[0] = step + 1
        return task.batch(step)

    def evaluate() -> Evaluation:
        evaluation = task.evaluate()
        if PICTURE in evaluation.pictures:
            _keep(folder / STAGES, done[0], evaluation.pictures[PICTURE])
        return evaluation

    return replace(task, batch=batch, evaluate=evaluate)


def stages(folder: Path) -> list[tuple[int, Path]]:
    """The stages of a run that were kept, as steps and files, in order."""
    files = sorted((folder / STAGES).glob("step-*.png"))
    return [(int(file.stem.removeprefix("step-")), file) for file in files]


def stage_sheet(kept: list[tuple[int, Path]]) -> tuple[list[int], NDArray[np.float32]]:
    """The images once, and below them their reconstructions at some stages; and which: steps.

    Stages hold the images above their reconstructions.  Returns a picture (H, W, 3).
    """
    chosen = [kept[index] for index in spread(len(kept))]
    pictures = [read_image(file) for _, file in chosen]
    half = len(pictures[0]) // 2
    rows = [pictures[0][:half], *(picture[half:] for picture in pictures)]
    down = _spaced([_spaced(np.split(row, row.shape[1] // half, axis=1), axis=1) for row in rows], axis=0)
    return [step for step, _ in chosen], down.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def _spaced(pictures: list[NDArray[np.float32]], axis: int) -> NDArray[np.float32]:
    """Pictures one beside (1) or below (0) the other, with white between them."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.ones(shape, np.float32)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis)


def spread(number: int) -> list[int]:
    """At most `SHOWN` indices of so many, ever farther apart, the first and the last among them."""
    if number <= SHOWN:
        return list(range(number))
    wanted = np.geomspace(1, number, SHOWN).round().astype(int) - 1
    for place in range(1, SHOWN):
        wanted[place] = max(wanted[place], wanted[place - 1] + 1)
    return [int(index) for index in wanted]


def _keep(folder: Path, step: int, picture: NDArray[np.float32]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    write_image(folder / f"step-{step:08d}.png", picture)
