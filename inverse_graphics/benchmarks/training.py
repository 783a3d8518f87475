"""Reliability and speed of training: the results of one recipe with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inverse_graphics.training.recipe import Recipe
from inverse_graphics.training.run import run, run_folder


@dataclass(frozen=True)
class TrainingRow:
    """The run of one seed; seconds exclude evaluations.

    Attributes:
        recipe: name of the recipe.
        seed: seed of the run.
        steps: training steps.
        seconds: training time.
        images_per_second: training throughput.
        count_accuracy: held-out count accuracy after training.
        elbo: held-out bound after training, nats.
        steps_to_98: steps to the first evaluation with a count accuracy of 98 %; None if never.
        seconds_to_98: training time to that evaluation; None if never.
        seconds_to_99_5: training time to a count accuracy of 99.5 %; None if never.
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
    """Train a recipe with each seed, resuming interrupted runs.

    Args:
        recipe: the recipe.
        seeds: the seeds.
        folder: parent of the runs' folders; default `runs/`.
        progress: called with a line of text before each run.
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
    """Step and seconds of the first evaluation that reached an accuracy; None if none did."""
    reached = (row for row in history if row["held_out"]["count_accuracy"] >= accuracy)
    return next(reached, {"step": None, "seconds": None})
