"""The base class of studies: train runs one by one, evaluate each once, and write a report.

A study defines which recipes it accepts, how a finished run is evaluated, and its tables and plots. Files in
the folder of every study:

    runs/<variant>-seed<k>/   a training run; once finished also evaluation.json
    results.json              every run with its recipe, history and evaluation
    summary.md                tables
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from inverse_graphics.errors import ModelError, RecipeError, TrainingError
from inverse_graphics.io.documents import read_document
from inverse_graphics.models.weights import WEIGHTS as TENSORS
from inverse_graphics.models.weights import current_versions, load_model
from inverse_graphics.studies.records import Figures, Record, write_text
from inverse_graphics.studies.runs import StudyRun, plan_runs, train_run
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import Recipe, load_recipe
from inverse_graphics.training.run import WEIGHTS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import nn

EVALUATION = "evaluation.json"

Progress = Callable[[str], None]
"""Prints a line of text."""


class RecipeType(NamedTuple):
    """The recipes that a study accepts.

    Attributes:
        type: their class.
        trains: the model that they train, for messages.
        example: name of a shipped one.
    """

    type: type[Recipe]
    trains: str
    example: str


class Study(ABC):
    """A comparison of variants of a recipe, each trained from several seeds.

    Attributes:
        name: name of the command and of the default folder.
        recipes: the accepted recipes.
    """

    name: str
    recipes: ClassVar[RecipeType]

    def plan(
        self,
        recipe: str,
        variants: Sequence[Variant],
        seeds: Sequence[int],
        overrides: Sequence[str],
        out: Path,
    ) -> list[StudyRun]:
        """Build the runs of the study, ordered by seed and then by variant.

        Raises:
            RecipeError: the recipe is of another type; see also `plan_runs`.
            TrainingError: see `plan_runs`.
        """
        wanted = self.recipes
        if not isinstance(load_recipe(recipe), wanted.type):
            raise RecipeError(
                f"{recipe} trains no {wanted.trains}: choose a recipe that does, such as {wanted.example}"
            )
        return plan_runs(recipe, variants, seeds, overrides, out)

    def train_and_evaluate(
        self, runs: Sequence[StudyRun], out: Path, command: str, progress: Progress
    ) -> tuple[bool, dict[str, str]]:
        """Train and evaluate all runs one by one, updating the report after each.

        A run that ends with an error is reported, and the others continue.

        Args:
            runs: from `plan`.
            out: the study's folder.
            command: the command that resumes the study.
            progress: prints a line of text.

        Returns:
            False if training was interrupted; and errors by the names of the runs' folders.
        """
        errors: dict[str, str] = {}
        for number, run in enumerate(runs, start=1):
            state = "is there" if run.finished else "goes on" if run.begun else "begins"
            progress(f"run {number} of {len(runs)}: {run.variant.name}, seed {run.seed}, {state}")
            try:
                if not self.train(run, command):
                    return False, errors
                self.evaluate(run)
                if state != "is there":
                    self.report(runs, out, command, errors)
            except (TrainingError, ModelError) as error:
                progress(f"{run.variant.name}, seed {run.seed}: {error}")
                errors[run.folder.name] = str(error)
        return True, errors

    def report(
        self, runs: Sequence[StudyRun], out: Path, command: str, errors: dict[str, str]
    ) -> Sequence[DataclassInstance]:
        """Write all files of the study from the existing runs.

        Returns:
            The rows of the summary.

        Raises:
            TrainingError: there are no runs to report on.
            StorageError: a file cannot be written.
        """
        there = [run for run in runs if self.is_reported(run)]
        if not there:
            raise TrainingError(f"{out} contains no {self.reported}: omit --no-train to train them")
        records = [self._record(run, errors.get(run.folder.name)) for run in there]
        results = {
            "study": self.name,
            "command": command,
            "versions": current_versions(),
            "machine": {"processor": _processor(), "cores": os.cpu_count(), "system": platform.system()},
            "runs": records,
        }
        write_text(out / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
        return self.write_report(there, records, out, command)

    reported: ClassVar[str] = "run that has been evaluated"
    """A description of the runs for which `is_reported` holds, for messages."""

    def is_reported(self, run: StudyRun) -> bool:
        """Whether a run can be reported; by default, whether it was evaluated at least once in training."""
        return bool(run.history())

    def train(self, run: StudyRun, command: str) -> bool:
        """Train or resume a run; returns False if it was interrupted."""
        return train_run(run, command)

    @abstractmethod
    def evaluate(self, run: StudyRun) -> Figures:
        """Evaluate a finished run, or read an existing evaluation of the same weights and held-out data.

        Raises:
            ModelError: the weights are damaged.
            StorageError: a file cannot be written.
        """

    def facts(self, run: StudyRun) -> Record:  # noqa: ARG002 - for studies that add to the record
        """The entries of a run's record that are specific to this study."""
        return {}

    @abstractmethod
    def write_report(
        self, runs: Sequence[StudyRun], records: Sequence[Record], out: Path, command: str
    ) -> Sequence[DataclassInstance]:
        """Write tables and plots, and return the rows of the summary.

        Args:
            runs: the runs.
            records: records of the runs, in the same order.
            out: the study's folder.
            command: the command of the study.
        """

    def finish(self, runs: Sequence[StudyRun], out: Path, progress: Progress) -> None:  # noqa: B027 - optional
        """Make measurements that need all runs; by default none."""

    def _record(self, run: StudyRun, error: str | None) -> Record:
        history = run.history()
        evaluation: Figures | None = None
        try:
            evaluation = self.evaluate(run) if run.finished else None
        except ModelError as problem:
            error = error or str(problem)
        step, seconds = history[-1]["step"], history[-1]["seconds"]
        return {
            "variant": run.variant.name,
            "overrides": list(run.variant.overrides),
            "seed": run.seed,
            **self.facts(run),
            "finished": run.finished,
            "error": error,
            "folder": f"{run.folder.parent.name}/{run.folder.name}",
            "step": step,
            "steps": run.recipe.steps,
            "images": run.images(step),
            "seconds": seconds,
            "images_per_second": run.images(step) / seconds if seconds > 0 else None,
            "recipe": run.recipe.model_dump(mode="json"),
            "evaluation": evaluation,
            "history": history,
        }


def evaluated_once(run: StudyRun, version: int, figures: Callable[[], Figures]) -> Figures:
    """Read the evaluation of a finished run, or compute it if weights, held-out data or version changed.

    Raises:
        StorageError: the file in the run's folder cannot be written.
    """
    evaluation = run.recipe.evaluation.model_dump(mode="json", include={"size", "seed"})
    made_of = {"version": version, "weights_sha256": weights_sha256(run), "evaluation": evaluation}
    return load_or_compute(run.folder / EVALUATION, made_of, figures)


def load_or_compute(
    file: Path, made_of: dict[str, Any], make: Callable[[], Figures], indent: int | None = None
) -> Figures:
    """Read a JSON file if it was computed from the same inputs; otherwise compute and write it.

    Args:
        file: the file; its field "of" identifies the inputs.
        made_of: identifies the inputs.
        make: computes the content, without "of".
        indent: indentation of the JSON.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        kept = read_document(file, TrainingError)
    except TrainingError:
        kept = None
    if isinstance(kept, dict) and kept.get("of") == made_of:
        return kept
    made = {"of": made_of, **make()}
    write_text(file, json.dumps(made, indent=indent, allow_nan=False) + "\n")
    return made


def load_network(run: StudyRun) -> nn.Module:
    """Load the network of a finished run, in evaluation mode.

    Raises:
        ModelError: the weights are damaged.
    """
    return load_model(run.folder / WEIGHTS).module


def weights_sha256(run: StudyRun) -> str:
    """The checksum of a finished run's weights."""
    return hashlib.sha256((run.folder / WEIGHTS / TENSORS).read_bytes()).hexdigest()


def _processor() -> str:
    """The processor's model name, or its type if that is unknown."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(errors="replace").splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
