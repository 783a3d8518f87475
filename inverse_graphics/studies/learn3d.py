"""The study of the 3D model's training objectives, on the same recipe and held-out images.

Files, besides those of every study:

    runs/<variant>-seed<k>/gallery.png  a finished run's worst held-out images
    curves.csv, .png, .svg              held-out figures against images and training time
    gallery-<variant>.png               the gallery of the seed whose count accuracy is the median
    confusions.png                      true against inferred counts, all seeds together
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from inverse_graphics.io.files import atomic_write
from inverse_graphics.studies.counting_plots import plot_confusions, pooled
from inverse_graphics.studies.curves import curves_by_variant, learning_curve, write_curves
from inverse_graphics.studies.learn3d_evaluation import GALLERY, evaluate_run
from inverse_graphics.studies.learn3d_plot import Line, plot_curves
from inverse_graphics.studies.learn3d_tables import VariantRow, summarise, variant_rows, with_labels
from inverse_graphics.studies.records import Figures, Record, by_variant, evaluated, write_text
from inverse_graphics.studies.runs import StudyRun
from inverse_graphics.studies.study import RecipeType, Study
from inverse_graphics.training.recipe import Air3DRecipe
from inverse_graphics.training.run import RECIPE

OBJECTIVES = ("sleep", "wake_sleep", "elbo", "supervised/label", "supervised/set")
"""Default variants of the comparison."""


@dataclass(frozen=True)
class Learn3DStudy(Study):
    """A comparison of objectives of the 3D model."""

    name: str = "learn3d"
    recipes: ClassVar[RecipeType] = RecipeType(Air3DRecipe, "3D model", "table_top")

    def evaluate(self, run: StudyRun) -> Figures:
        """Compute scene metrics, log-likelihoods and a bound on held-out images, and draw the gallery."""
        return evaluate_run(run)

    def facts(self, run: StudyRun) -> Record:
        """The record's use of labels, and the command that trains only this run."""
        recipe = f"{run.folder.parent.name}/{run.folder.name}/{RECIPE}"
        return {"with_labels": with_labels(run.recipe), "command": f"inverse-graphics train {recipe}"}

    def write_report(
        self, runs: Sequence[StudyRun], records: Sequence[Record], out: Path, command: str
    ) -> list[VariantRow]:
        """Write tables, plots and galleries; returns one row per variant."""
        write_text(out / "summary.md", summarise(records, command))
        curves = [learning_curve(run) for run in runs]
        write_curves(curves, out / "curves.csv")
        labelled = {run.variant.name: with_labels(run.recipe) for run in runs}
        lines = [Line(name, labelled[name], own) for name, own in curves_by_variant(curves).items()]
        done = evaluated(records)
        truth = done[0]["evaluation"]["log_likelihood_of_truth"]["value"] if done else None
        plot_curves(lines, out, runs[0].recipe.evaluation.size, truth)
        if done:
            plot_confusions(
                {name: _confusion(own) for name, own in by_variant(done).items()}, out / "confusions"
            )
        for own in by_variant(done).values():
            _publish_gallery(own, out)
        return variant_rows(records)


def _confusion(records: Sequence[Record]) -> list[list[int]]:
    return pooled([record["evaluation"]["count_confusion_true_by_inferred"] for record in records])


def _publish_gallery(records: Sequence[Record], out: Path) -> None:
    """Copy the gallery of each variant's median seed."""
    ranked = sorted(records, key=lambda r: r["evaluation"]["figures"]["count_accuracy"]["value"])
    middle = ranked[(len(ranked) - 1) // 2]
    source, name = out / middle["folder"] / GALLERY, middle["variant"].replace("/", "-")
    with source.open("rb") as opened, atomic_write(out / f"gallery-{name}.png") as target:
        shutil.copyfileobj(opened, target)
