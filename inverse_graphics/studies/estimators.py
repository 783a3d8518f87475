"""What `study estimators` adds to a study of counting: how noisy the estimators' gradients are.

DIR/
    gradients.json, .md, .png, .svg   variance by estimator and stage of training
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inverse_graphics.documents import read_document
from inverse_graphics.errors import TrainingError
from inverse_graphics.studies.every_run import write_text
from inverse_graphics.studies.gradient_plot import gradient_table, plot_gradients
from inverse_graphics.studies.gradient_variance import DRAWS, FITTED, GradientSpread, gradient_spreads
from inverse_graphics.studies.snapshots import has_snapshots, snapshot_file, stage_steps
from inverse_graphics.studies.study_run import Say, StudyRun
from inverse_graphics.training.recipe import Air2DRecipe

DOCUMENT = "gradients.json"
FORMAT_VERSION = 1
"""Older figures are made anew."""


def report_gradients(
    runs: Sequence[StudyRun], out: Path, say: Say, draws: int = DRAWS, fitted: int = FITTED
) -> list[GradientSpread]:
    """Measure all estimators on the networks of the first finished run, once, and write table and picture.

    Nothing is measured while no run is finished.

    Raises:
        DataError: the data is missing and cannot be fetched.
        ModelError: a snapshot is damaged.
        StorageError: a file cannot be written.
    """
    measurable = [run for run in runs if run.finished and has_snapshots(run.folder, run.recipe.steps)]
    if not measurable:
        return []
    spreads = _measured(measurable[0], out / DOCUMENT, say, draws, fitted)
    heading = f"On the networks of {measurable[0].variant.name}, seed {measurable[0].seed}. "
    write_text(out / "gradients.md", heading + "\n".join(gradient_table(spreads)))
    plot_gradients(spreads, out)
    return spreads


def _measured(trained: StudyRun, file: Path, say: Say, draws: int, fitted: int) -> list[GradientSpread]:
    asked = _asked(trained, draws, fitted)
    kept = _kept(file)
    if kept.get("of") == asked:
        return [GradientSpread(**one) for one in kept["spreads"]]
    say(f"measuring gradients on the networks of {trained.variant.name}, seed {trained.seed}")
    assert isinstance(trained.recipe, Air2DRecipe)
    spreads = gradient_spreads(trained.folder, trained.recipe, draws, fitted)
    document = {"of": asked, "spreads": [one._asdict() for one in spreads]}
    write_text(file, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return spreads


def _asked(trained: StudyRun, draws: int, fitted: int) -> dict[str, Any]:
    """All that the figures depend on."""
    steps = stage_steps(trained.recipe.steps).values()
    contents = [snapshot_file(trained.folder, step).read_bytes() for step in steps]
    return {
        "format_version": FORMAT_VERSION,
        "run": trained.folder.name,
        "snapshots_sha256": [hashlib.sha256(content).hexdigest() for content in contents],
        "draws": draws,
        "fitted": fitted,
    }


def _kept(file: Path) -> dict[str, Any]:
    try:
        document = read_document(file, TrainingError)
    except TrainingError:
        return {}
    return document if isinstance(document, dict) else {}
