"""Studies of adaptive computation time: error and steps by method, time penalty and seed.

Files, besides those of every study; variants are named <method>/<τ>:

    runs.csv                  one line per run
    penalties.png, .svg       error and steps against the time penalty, and error against steps
    difficulty.png, .svg      steps and errors by difficulty of the input
    curves.csv, .png, .svg    held-out error against training steps and time
    halting.png, .svg         at which step each method halts, by difficulty
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.errors import RecipeError
from inverse_graphics.halting import Accumulated, Discrete, Halting, Thresholded, log_weights
from inverse_graphics.models.adaptive.sequence_evaluation import SequenceScores, evaluate_sequences
from inverse_graphics.models.adaptive.sequence_network import SequenceNetwork, Sequences
from inverse_graphics.sequences.problems import evaluation_batch
from inverse_graphics.sequences.sequence_batch import SequenceBatch
from inverse_graphics.studies.adaptive_plots import plot_curves, plot_difficulty, plot_halting, plot_penalties
from inverse_graphics.studies.adaptive_tables import AdaptiveRow, adaptive_rows, summarise
from inverse_graphics.studies.curves import learning_curve, write_curves
from inverse_graphics.studies.records import Figures, Record, csv_table, evaluated, write_text
from inverse_graphics.studies.runs import StudyRun
from inverse_graphics.studies.study import RecipeType, Study, evaluated_once, load_network
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import AdaptiveRecipe

METHODS = ("act", "relaxed", "reinforce")
"""Methods with a time penalty; the method `repeat` has a fixed number of steps instead."""
VERSION = 1
"""Evaluations of other versions are recomputed."""
HALTING_RULES: dict[str, Halting] = {
    "accumulated": Accumulated(),
    "thresholded": Thresholded(),
    "discrete": Discrete(),
}
"""Rules with which every network is also evaluated, whatever rule it was trained with."""
MIN_COUNT = 20
"""Difficulties with fewer inputs than this are not reported."""


@dataclass(frozen=True)
class AdaptiveStudy(Study):
    """A comparison of halting methods and time penalties.

    Attributes:
        name: "act" or "pact".
        recipes: the accepted recipes.
    """

    name: str
    recipes: ClassVar[RecipeType] = RecipeType(AdaptiveRecipe, "adaptive network", "act_parity")

    def evaluate(self, run: StudyRun) -> Figures:
        """Compute errors and steps on held-out sequences: overall, by halting rule, and by difficulty."""

        def figures() -> Figures:
            network, recipe = load_network(run), run.recipe
            assert isinstance(network, SequenceNetwork)
            assert isinstance(recipe, AdaptiveRecipe)
            size, seed = recipe.evaluation.size, recipe.evaluation.seed
            batch = evaluation_batch(recipe.data, size, seed)
            return adaptive_figures(network, batch, recipe.objective.evaluation_halting, seed)

        return evaluated_once(run, VERSION, figures)

    def facts(self, run: StudyRun) -> Record:
        """The record's method, and its time penalty or number of steps."""
        method, _, setting = run.variant.name.partition("/")
        penalised = method in METHODS
        return {
            "method": method,
            "time_penalty": float(setting) if penalised else None,
            "repetitions": None if penalised else int(setting),
        }

    def write_report(
        self, runs: Sequence[StudyRun], records: Sequence[Record], out: Path, command: str
    ) -> list[AdaptiveRow]:
        """Write tables and plots; returns one row per variant."""
        rows = adaptive_rows(records)
        write_text(out / "runs.csv", _table(records))
        write_text(out / "summary.md", summarise(records, rows, command))
        curves = [learning_curve(run) for run in runs]
        write_curves(curves, out / "curves.csv")
        plot_curves(curves, out)
        if done := evaluated(records):
            assert isinstance(runs[0].recipe, AdaptiveRecipe)
            difficulty = runs[0].recipe.data.difficulty
            plot_penalties(done, out)
            plot_difficulty(done, difficulty, out)
            plot_halting(done, difficulty, out)
        return rows


def adaptive_variants(
    methods: Sequence[str], penalties: Sequence[float], repetitions: Sequence[int]
) -> list[Variant]:
    """Build variants of each method with each time penalty, and of each number of repetitions.

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


def adaptive_figures(
    network: SequenceNetwork, batch: SequenceBatch, halting: Halting, seed: int
) -> dict[str, Any]:
    """Evaluate a trained network.

    Args:
        network: the network.
        batch: held-out sequences.
        halting: the rule for evaluation that belongs to its training objective.
        seed: seed of rules that sample.

    Returns:
        `metrics` under `halting`; `by_halting`, metrics under other rules; `by_difficulty`, rows of
        difficulty, inputs, share of wrong answers and steps; `halts`, halting probability of each step by
        difficulty.
    """
    scores = evaluate_sequences(network, batch, halting)
    return {
        "metrics": scores.metrics(),
        "by_halting": {
            name: evaluate_sequences(network, batch, rule, torch.Generator().manual_seed(seed)).metrics()
            for name, rule in HALTING_RULES.items()
        },
        "by_difficulty": by_difficulty(scores),
        "halts": halting_by_difficulty(network, batch, halting),
    }


def by_difficulty(scores: SequenceScores) -> list[dict[str, float]]:
    """Error rate and mean number of steps for each difficulty."""
    found = []
    for level in _levels(scores.difficulty):
        here = scores.difficulty == level
        has_target = here & scores.has_target
        found.append(
            {
                "difficulty": level,
                "inputs": int(here.sum()),
                "wrong": float(scores.wrong[has_target].mean()) if has_target.any() else 0.0,
                "steps": float(scores.steps[here].mean()),
            }
        )
    return found


@torch.no_grad()
def halting_by_difficulty(
    network: SequenceNetwork, batch: SequenceBatch, halting: Halting
) -> list[dict[str, Any]]:
    """Mean probability of halting at each step, for each difficulty."""
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


def _table(records: Sequence[Record]) -> str:
    rows = []
    for record in records:
        last = record["history"][-1]["held_out"]
        setting = record["variant"].partition("/")[2]
        facts = [record["method"], setting, record["seed"], record["finished"], record["seconds"]]
        rows.append([*facts, last["error"], last["steps"], last["most_steps"]])
    head = ["method", "setting", "seed", "finished", "seconds", "error", "steps", "most_steps"]
    return csv_table(head, rows)
