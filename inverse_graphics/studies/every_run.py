"""All runs of a study, one after the other: train, judge, report, and what they leave on the disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inverse_graphics.documents import read_document
from inverse_graphics.errors import ModelError, TrainingError
from inverse_graphics.files import atomic_write, storage_error
from inverse_graphics.models.weights import WEIGHTS as TENSORS
from inverse_graphics.studies.study_run import Say, StudyRun, train
from inverse_graphics.training.run import WEIGHTS

EVALUATION = "evaluation.json"
Figures = dict[str, Any]


def train_and_judge(
    runs: Sequence[StudyRun],
    judge: Callable[[StudyRun], Figures],
    report: Callable[[], object],
    command: str,
    say: Say,
    train: Callable[[StudyRun, str], bool] = train,
) -> tuple[bool, dict[str, str]]:
    """Train all runs and judge each; False if asked to stop before the end.

    train: given a run and the command that goes on, trains it to its end; False if it was stopped.
    After each the report is written anew. A run that ends with an error is told, and the others go on.
    Returns those errors by the runs' folders.
    """
    errors: dict[str, str] = {}
    for number, planned in enumerate(runs, start=1):
        state = "is there" if planned.finished else "goes on" if planned.begun else "begins"
        say(f"run {number} of {len(runs)}: {planned.variant.name}, seed {planned.seed}, {state}")
        try:
            if not train(planned, command):
                return False, errors
            judge(planned)
            if state != "is there":
                report()
        except (TrainingError, ModelError) as error:
            say(f"{planned.variant.name}, seed {planned.seed}: {error}")
            errors[planned.folder.name] = str(error)
    return True, errors


def judged_once(trained: StudyRun, version: int, figures: Callable[[], Figures]) -> Figures:
    """The figures of a finished run, made anew only for other weights, held-out data or version.

    Raises:
        StorageError: the file beside the run cannot be written.
    """
    content = (trained.folder / WEIGHTS / TENSORS).read_bytes()
    asked = {
        "version": version,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "evaluation": trained.recipe.evaluation.model_dump(mode="json", include={"size", "seed"}),
    }
    file = trained.folder / EVALUATION
    kept = _kept(file)
    if kept.get("of") == asked:
        return kept
    made = {"of": asked, **figures()}
    write_text(file, json.dumps(made, allow_nan=False) + "\n")
    return made


def write_text(file: Path, text: str) -> None:
    """Write a file whole, and its folder if there is none.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(file.parent, error) from error
    with atomic_write(file, "w") as opened:
        opened.write(text)


def _kept(file: Path) -> Figures:
    """An earlier evaluation; nothing where there is none, or none that can be read."""
    try:
        document = read_document(file, TrainingError)
    except TrainingError:
        return {}
    return document if isinstance(document, dict) else {}
