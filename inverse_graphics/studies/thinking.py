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
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inverse_graphics.errors import RecipeError, TrainingError
from inverse_graphics.models.adaptive.sequence_network import SequenceNetwork
from inverse_graphics.models.weights import current_versions, load_model
from inverse_graphics.sequences.problems import held_out_batch
from inverse_graphics.studies.curves import curve, write_curves
from inverse_graphics.studies.every_run import judged_once, write_text
from inverse_graphics.studies.study_run import StudyRun, plan
from inverse_graphics.studies.thinking_figures import thinking_figures
from inverse_graphics.studies.thinking_plot import plot_curves, plot_difficulty, plot_halting, plot_penalties
from inverse_graphics.studies.thinking_summary import ThinkingRow, summarise, thinking_rows
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import AdaptiveRecipe, load_recipe
from inverse_graphics.training.run import WEIGHTS

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
        batch = held_out_batch(recipe.data, recipe.evaluation.size, recipe.evaluation.seed)
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
