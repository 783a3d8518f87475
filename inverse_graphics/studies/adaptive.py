"""Studies of networks that think: error and steps by method, time penalty and seed.

DIR/
    runs/<method>-<τ>-seed<k>/  a training run; once finished also evaluation.json
    results.json                everything, for programs
    runs.csv                    one line for each run
    summary.md                  tables, for people
    penalties.png, .svg         error and steps against the time penalty, and against each other
    difficulty.png, .svg        steps and errors by difficulty of the input
    curves.csv, .png, .svg      held-out error against training steps and time
    halting.png, .svg           at which step each method halts, by difficulty

What is measured of a network that thinks, once it is trained.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.errors import RecipeError, TrainingError
from inverse_graphics.halting import Accumulated, Discrete, Halting, Thresholded, log_weights
from inverse_graphics.models.adaptive.sequence_evaluation import SequenceScores, evaluate_sequences
from inverse_graphics.models.adaptive.sequence_network import SequenceNetwork, Sequences
from inverse_graphics.models.weights import current_versions, load_model
from inverse_graphics.sequences.problems import evaluation_batch
from inverse_graphics.sequences.sequence_batch import SequenceBatch
from inverse_graphics.studies.adaptive_plot import plot_curves, plot_difficulty, plot_halting, plot_penalties
from inverse_graphics.studies.adaptive_summary import ThinkingRow, summarise, thinking_rows
from inverse_graphics.studies.curve_plot import curve, write_curves
from inverse_graphics.studies.runs import StudyRun, judged_once, plan, write_text
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import AdaptiveRecipe, load_recipe
from inverse_graphics.training.run import WEIGHTS

OTHER_WAYS: dict[str, Halting] = {
    "accumulated": Accumulated(),
    "thresholded": Thresholded(),
    "discrete": Discrete(),
}
"""How every network is judged besides, whatever it was trained by."""
MIN_COUNT = 20
"""Inputs of a difficulty below which nothing is said of it."""


def thinking_figures(
    network: SequenceNetwork, batch: SequenceBatch, halting: Halting, seed: int
) -> dict[str, Any]:
    """All of them, as JSON holds them.

    metrics: in the way that it is meant to be used.  by_halting: in other ways.  by_difficulty: difficulty,
    inputs, wrong (of those that are asked about) and steps.  halts: share of each step, from the first, by
    difficulty.
    """
    exam = evaluate_sequences(network, batch, halting)
    return {
        "metrics": exam.metrics(),
        "by_halting": {
            name: evaluate_sequences(network, batch, way, torch.Generator().manual_seed(seed)).metrics()
            for name, way in OTHER_WAYS.items()
        },
        "by_difficulty": by_difficulty(exam),
        "halts": halting_by_difficulty(network, batch, halting),
    }


def by_difficulty(exam: SequenceScores) -> list[dict[str, float]]:
    """How wrong and how slow it is, for each difficulty of an input."""
    found = []
    for level in _levels(exam.difficulty):
        here = exam.difficulty == level
        asked = here & exam.asked
        found.append(
            {
                "difficulty": level,
                "inputs": int(here.sum()),
                "wrong": float(exam.wrong[asked].mean()) if asked.any() else 0.0,
                "steps": float(exam.steps[here].mean()),
            }
        )
    return found


@torch.no_grad()
def halting_by_difficulty(
    network: SequenceNetwork, batch: SequenceBatch, halting: Halting
) -> list[dict[str, Any]]:
    """With which mean weight each step is the last, for each difficulty of an input."""
    sequences = Sequences.from_batch(batch)
    answers = network(sequences.inputs, halting)
    weights = [log_weights(pondering).exp() for pondering in answers.ponderings]
    longest = max(len(weight) for weight in weights)
    padded = torch.cat([torch.nn.functional.pad(w, (0, 0, 0, longest - len(w))) for w in weights], dim=1)
    difficulty = sequences.difficulty.numpy()
    shares: NDArray[np.float64] = padded.double().numpy()
    return [
        {"difficulty": level, "shares": shares[:, difficulty == level].mean(1).tolist()}
        for level in _levels(difficulty)
    ]


def _levels(difficulty: NDArray[np.int64]) -> list[int]:
    levels, counts = np.unique(difficulty, return_counts=True)
    return [int(level) for level, count in zip(levels, counts, strict=True) if count >= MIN_COUNT]


METHODS = ("act", "relaxed", "reinforce")
"""Those that have a time penalty; beside them `repeat`, which has a number of steps."""
VERSION = 1
"""Older evaluations are done again."""


def thinking_variants(
    methods: Sequence[str], penalties: Sequence[float], repetitions: Sequence[int]
) -> list[Variant]:
    """Each method with each time penalty, and each number of repetitions.

    Raises:
        RecipeError: no such method.
    """
    for method in methods:
        if method not in METHODS:
            raise RecipeError(f"no method {method!r}: known methods: {', '.join(METHODS)}")
    penalised = [
        Variant(f"{method}/{tau:g}", (f"objective.kind={method}", f"objective.time_penalty={tau!r}"))
        for tau in penalties
        for method in methods
    ]
    repeated = [
        Variant(f"repeat/{steps}", ("objective.kind=plain", f"model.repetitions={steps}"))
        for steps in repetitions
    ]
    return [*penalised, *repeated]


def plan_thinking(
    recipe: str, variants: Sequence[Variant], seeds: Sequence[int], overrides: Sequence[str], out: Path
) -> list[StudyRun]:
    """The runs of a study.

    Raises:
        RecipeError: the recipe trains no network that thinks, or as `study_run.plan`.
        TrainingError: as `study_run.plan`.
    """
    if not isinstance(load_recipe(recipe), AdaptiveRecipe):
        raise RecipeError(f"{recipe} trains no network that thinks: choose one that does, such as act_parity")
    return plan(recipe, variants, seeds, overrides, out)


def judge(trained: StudyRun) -> dict[str, Any]:
    """The evaluation of a finished run, as JSON holds it, done once.

    Raises:
        ModelError: the weights are damaged.
        StorageError: the file cannot be written.
    """

    def figures() -> dict[str, Any]:
        network = load_model(trained.folder / WEIGHTS).module
        recipe = trained.recipe
        assert isinstance(network, SequenceNetwork)
        assert isinstance(recipe, AdaptiveRecipe)
        batch = evaluation_batch(recipe.data, recipe.evaluation.size, recipe.evaluation.seed)
        return thinking_figures(network, batch, recipe.objective.judged_by, recipe.evaluation.seed)

    return judged_once(trained, VERSION, figures)


def report(runs: Sequence[StudyRun], out: Path, command: str) -> list[ThinkingRow]:
    """Write all files of the study about what is there of these runs, and sum each variant up.

    Raises:
        TrainingError: nothing is there.
        StorageError: a file cannot be written.
    """
    there = [run for run in runs if run.history()]
    if not there:
        raise TrainingError(f"{out} holds no run that has been evaluated: leave out --no-train to train them")
    records = [_record(run) for run in there]
    rows = thinking_rows(records)
    results = {"command": command, "versions": current_versions(), "runs": records}
    write_text(out / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_text(out / "runs.csv", _table(records))
    write_text(out / "summary.md", summarise(records, rows, command))
    curves = [curve(run) for run in there]
    write_curves(curves, out / "curves.csv")
    plot_curves(curves, out)
    judged = [record for record in records if record["evaluation"]]
    if judged:
        difficulty = there[0].recipe.data.difficulty  # type: ignore[attr-defined]
        plot_penalties(judged, out)
        plot_difficulty(judged, difficulty, out)
        plot_halting(judged, difficulty, out)
    return rows


def _record(run: StudyRun) -> dict[str, Any]:
    """All that is known of a run, as JSON holds it."""
    history = run.history()
    method, _, setting = run.variant.name.partition("/")
    return {
        "variant": run.variant.name,
        "method": method,
        "time_penalty": float(setting) if method in METHODS else None,
        "repetitions": None if method in METHODS else int(setting),
        "seed": run.seed,
        "finished": run.finished,
        "folder": f"{run.folder.parent.name}/{run.folder.name}",
        "step": history[-1]["step"],
        "steps": run.recipe.steps,
        "seconds": history[-1]["seconds"],
        "recipe": run.recipe.model_dump(mode="json"),
        "evaluation": judge(run) if run.finished else None,
        "history": history,
    }


def _table(records: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["method", "setting", "seed", "finished", "seconds", "error", "steps", "most_steps"])
    for record in records:
        last = record["history"][-1]["held_out"]
        setting = record["variant"].partition("/")[2]
        figures = [last["error"], last["steps"], last["most_steps"]]
        table.writerow(
            [record["method"], setting, record["seed"], record["finished"], record["seconds"], *figures]
        )
    return text.getvalue()
