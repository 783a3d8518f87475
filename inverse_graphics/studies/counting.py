"""Studies of the 2D model: counting accuracy by seed and by variant of a recipe.

Files, besides those of every study:

    runs/<variant>-seed<k>/stages/     reconstructions at each evaluation
    runs/<variant>-seed<k>/snapshots/  weights at the start, in the middle and at the end of training
    curves.csv, .png, .svg             count accuracy and bound against steps and training time
    stages-<variant>.png               held-out images, and below them their reconstructions over training
    scanning.json, .png, .svg          positions of the objects inferred in each step, by run
    confusions.png                     true against inferred counts, all seeds together
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from inverse_graphics.data.sources import open_streams
from inverse_graphics.evaluation.air2d import evaluate2d
from inverse_graphics.io.images import write_image
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.studies.counting_plots import (
    plot_confusions,
    plot_counting,
    plot_scanning,
    pooled,
    scanning_maps,
)
from inverse_graphics.studies.counting_tables import CountingRow, counting_rows, summarise_counting
from inverse_graphics.studies.curves import learning_curve, write_curves
from inverse_graphics.studies.records import Figures, Record, by_variant, evaluated, write_text
from inverse_graphics.studies.runs import StudyRun, train_run
from inverse_graphics.studies.study import RecipeType, Study, evaluated_once, load_network
from inverse_graphics.studies.training_stages import keeping_snapshots, recording_task, stage_sheet, stages
from inverse_graphics.training.air2d_task import to_network
from inverse_graphics.training.recipe import Air2DRecipe, Recipe
from inverse_graphics.training.task import Task

VERSION = 1
"""Evaluations of other versions are recomputed."""
IWAE_SAMPLES = 5
SCANNED = 2000
"""Number of held-out images of the attention maps."""
CONFUSION = "count_confusion_true_by_inferred"


@dataclass(frozen=True)
class CountingStudy(Study):
    """A comparison of variants of a recipe of the 2D model."""

    name: str = "counting"
    recipes: ClassVar[RecipeType] = RecipeType(Air2DRecipe, "2D model", "multi_mnist")

    def train(self, run: StudyRun, command: str) -> bool:
        """Train a run, recording reconstructions and weight snapshots in its folder."""

        def build(recipe: Recipe) -> Task:
            return keeping_snapshots(recording_task(recipe, run.folder), recipe.steps, run.folder)

        return train_run(run, command, build)

    def evaluate(self, run: StudyRun) -> Figures:
        """Compute bounds, counts, calibration and attention maps on held-out images."""
        return evaluated_once(run, VERSION, lambda: _figures(run))

    def write_report(
        self, runs: Sequence[StudyRun], records: Sequence[Record], out: Path, command: str
    ) -> list[CountingRow]:
        """Write tables and plots; returns one row per variant."""
        rows = counting_rows(records)
        write_text(out / "summary.md", summarise_counting(records, rows, command))
        curves = [learning_curve(run) for run in runs]
        write_curves(curves, out / "curves.csv")
        plot_counting(curves, out, runs[0].recipe.evaluation.size)
        _plot_evaluations(evaluated(records), out)
        for first_of_variant in {run.variant.name: run for run in reversed(runs)}.values():
            _write_stage_sheet(first_of_variant, out)
        return rows


def _figures(run: StudyRun) -> dict[str, Any]:
    network, recipe = load_network(run), run.recipe
    assert isinstance(network, Air2D)
    assert isinstance(recipe, Air2DRecipe)
    size, seed = recipe.evaluation.size, recipe.evaluation.seed
    figures = evaluate2d(network, recipe, size, IWAE_SAMPLES, seed)
    held_out = open_streams(recipe.data).test.fixed_set(SCANNED, seed).images
    return {**figures, "scanning": scanning_maps(network, to_network(held_out)).tolist()}


def _plot_evaluations(records: Sequence[Record], out: Path) -> None:
    counted = by_variant([record for record in records if CONFUSION in record["evaluation"]])
    confusions = {name: pooled([r["evaluation"][CONFUSION] for r in own]) for name, own in counted.items()}
    if confusions:
        plot_confusions(confusions, out / "confusions")
    if records:
        maps = {f"{r['variant']}, {r['seed']}": np.array(r["evaluation"]["scanning"]) for r in records}
        plot_scanning(maps, out)
        write_text(out / "scanning.json", json.dumps({name: of.tolist() for name, of in maps.items()}) + "\n")


def _write_stage_sheet(run: StudyRun, out: Path) -> None:
    if kept := stages(run.folder):
        _, sheet = stage_sheet(kept)
        write_image(out / f"stages-{run.variant.file_name}.png", sheet)
