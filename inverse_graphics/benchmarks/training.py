"""Reliability and speed of training: one recipe from several seeds, all reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inverse_graphics.training.recipe import Recipe
from inverse_graphics.training.run import run, run_folder


@dataclass(frozen=True)
class TrainingRow:
    """One seed's run; seconds are of training, without evaluations.

    Attributes:
        seconds_to_98: until the first held-out count accuracy of 98 %; None if never.
        steps_to_98: until the first held-out count accuracy of 98 %; None if never.
        seconds_to_99_5: likewise 99.5 %.
    """

    recipe: str
    seed: int
    steps: int
    seconds: float
    images_per_second: float
    count_accuracy: float
    elbo: float
    steps_to_98: int | None
    seconds_to_98: float | None
    seconds_to_99_5: float | None


def benchmark_training(
    recipe: Recipe,
    seeds: Sequence[int],
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[TrainingRow]:
    """Train a recipe from each seed, resuming runs that were begun.

    Args:
        folder: holds one run folder per seed; `runs/` unless given.
        progress: called with a line for each seed.
    """
    for seed in seeds:
        seeded = recipe.model_copy(update={"seed": seed})
        place = run_folder(seeded) if folder is None else folder / run_folder(seeded).name
        progress(f"seed {seed}: {place}")
        result = run(seeded, place, resume=any(place.glob("checkpoints/*")))
        if not result.finished:
            return
        yield _row(seeded, result.history)


def _row(recipe: Recipe, history: Sequence[dict[str, Any]]) -> TrainingRow:
    last = history[-1]
    at_98, at_99_5 = (_first(history, accuracy) for accuracy in (0.98, 0.995))
    return TrainingRow(
        recipe=recipe.name,
        seed=recipe.seed,
        steps=last["step"],
        seconds=last["seconds"],
        images_per_second=last["step"] * recipe.batch_size / last["seconds"],
        count_accuracy=last["held_out"]["count_accuracy"],
        elbo=last["held_out"]["elbo"],
        steps_to_98=at_98["step"],
        seconds_to_98=at_98["seconds"],
        seconds_to_99_5=at_99_5["seconds"],
    )


def _first(history: Sequence[dict[str, Any]], accuracy: float) -> dict[str, Any]:
    """Step and seconds of the first evaluation that reached an accuracy, None for each if none did."""
    reached = (row for row in history if row["held_out"]["count_accuracy"] >= accuracy)
    return next(reached, {"step": None, "seconds": None})
