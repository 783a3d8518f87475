"""Progress display of a run (a live bar on a terminal, else plain lines), and its log.

The log is `history.jsonl`, one JSON object per line, and TensorBoard's files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from inverse_graphics.io.files import atomic_write
from inverse_graphics.training.state import Row
from inverse_graphics.training.task import Evaluation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


REFRESH_SECONDS = 0.5
LINE_SECONDS = 30.0
"""Seconds after which a run without a terminal prints another line."""
SHOWN = ("elbo", "loss", "count_accuracy", "error", "steps")
"""The metrics that are displayed, if a task has them."""


class Display(Protocol):
    """Displays the progress of a run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def step(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Display a finished step; metrics are means since the last evaluation."""

    def evaluated(self, row: Row) -> None:
        """Display an evaluation."""

    def message(self, text: str) -> None:
        """Display a message."""


def display_for(console: Console, steps: int, done: int) -> Display:
    """Choose a live bar if `console` is a terminal, else plain lines; `done` of `steps` were done before."""
    return LiveDisplay(console, steps, done) if console.is_terminal else PlainDisplay(console, steps, done)


class PlainDisplay:
    """One line per evaluation, and one whenever none was printed for half a minute."""

    def __init__(self, console: Console, steps: int, done: int = 0) -> None:
        self._console, self._steps, self._done = console, steps, done
        self._begun = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Print step, metrics, images per second and time left if the last line is half a minute old."""
        now = time.monotonic()
        if now - self._printed >= LINE_SECONDS:
            left = (self._steps - step) * (now - self._begun) / max(step - self._done, 1)
            self.message(
                f"step {step:,} of {self._steps:,}  {format_metrics(metrics)}  "
                f"{images_per_second:.0f} images/s  {left:.0f} s left"
            )

    def evaluated(self, row: Row) -> None:
        """Print one line: step, seconds of training, held-out metrics, images per second, time left."""
        self.message(format_row(row, self._steps))

    def message(self, text: str) -> None:
        """Print one line."""
        self._printed = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A bar with the latest figures; evaluations are printed above it."""

    def __init__(self, console: Console, steps: int, done: int) -> None:
        self._steps, self._done = steps, done
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=1 / REFRESH_SECONDS,
        )
        self._task: TaskID
        self._shown = -1.0
        self._held_out: Mapping[str, float] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("training", total=self._steps, completed=self._done, figures="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Move the bar, at most twice a second."""
        now = time.monotonic()
        if now - self._shown > REFRESH_SECONDS:
            self._shown = now
            self._move(step, metrics, images_per_second)

    def evaluated(self, row: Row) -> None:
        """Print one line above the bar, and show the metrics of the evaluation in the bar."""
        self._held_out = row["held_out"]
        self._move(row["step"], row["train"], row["images_per_second"])
        self.message(format_row(row, self._steps))

    def _move(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        figures = f"{format_metrics({**self._held_out, **metrics})}  {images_per_second:.0f} images/s"
        self._bar.update(self._task, completed=step, figures=figures)

    def message(self, text: str) -> None:
        """Print one line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Format the metrics in `SHOWN`, or the first three if there are none of these."""
    names = [name for name in SHOWN if name in metrics] or list(metrics)[:3]
    return "  ".join(f"{name.replace('_', ' ')} {_number(name, metrics[name])}" for name in names)


def format_row(row: Row, steps: int) -> str:
    """Format an evaluation as one line."""
    rate = row["step"] / max(row["seconds"], 1e-9)
    left = (steps - row["step"]) / rate
    held_out = format_metrics(row["held_out"])
    return (
        f"step {row['step']:,} of {steps:,}  {row['seconds']:.1f} s  held-out: {held_out}  "
        f"{row['images_per_second']:.0f} images/s  {left:.0f} s left"
    )


def _number(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"


HISTORY, BOARD = "history.jsonl", "tensorboard"


class RunLog:
    """Writes rows and images of a run; on entry, entries after the last row of `history` are discarded.

    Args:
        folder: of the run.
        history: rows of the checkpoint; a resumed run may have logged more.
    """

    def __init__(self, folder: Path, history: list[Row]) -> None:
        self._folder, self._history = folder, history
        self._board: SummaryWriter

    def __enter__(self) -> Self:
        from torch.utils.tensorboard import SummaryWriter

        self._write_history()
        purge = self._history[-1]["step"] + 1 if self._history else 0
        self._board = SummaryWriter(str(self._folder / BOARD), purge_step=purge)
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()

    def add(self, row: Row, evaluation: Evaluation) -> None:
        """Log an evaluation; `row` is the last of the history."""
        self._write_history()
        for name, value in _flat(row).items():
            self._board.add_scalar(name, value, row["step"])
        for name, image in evaluation.images.items():
            self._board.add_image(name, np.clip(image, 0, 1), row["step"], dataformats="HWC")
        self._board.flush()

    def _write_history(self) -> None:
        """Rewrite all rows atomically, so that no line is incomplete; they are few."""
        with atomic_write(self._folder / HISTORY, "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in self._history)


def _flat(row: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Flatten numbers to slash-separated names: {"held_out": {"elbo": 1.0}} to {"held_out/elbo": 1.0}."""
    numbers: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            numbers |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            numbers[prefix + name] = value
    return numbers
