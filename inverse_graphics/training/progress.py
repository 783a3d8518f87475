"""How a run is told to the person who waits: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from inverse_graphics.training.state import Row

REFRESH_SECONDS = 0.5
SHOWN = ("elbo", "loss", "count_accuracy", "error", "steps")
"""The metrics that a line has room for, where a task gives them."""


class Display(Protocol):
    """Told what happens; tells people."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def step(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        """A step is done; metrics are means since the last evaluation."""

    def evaluated(self, row: Row) -> None:
        """An evaluation is done."""

    def say(self, text: str) -> None:
        """Something to know."""


def display_for(console: Console, steps: int, done: int) -> Display:
    """A live bar if `console` is a terminal, plain lines if not; `done` of `steps` were done before."""
    return LiveDisplay(console, steps, done) if console.is_terminal else PlainDisplay(console, steps)


class PlainDisplay:
    """One line per evaluation."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console, self._steps = console, steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        """Say nothing."""

    def evaluated(self, row: Row) -> None:
        """One line: step, seconds of training, held-out metrics, images per second, time left."""
        self.say(describe_row(row, self._steps))

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """A bar with the newest figures; evaluations scroll by above it."""

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
        """One line above the bar, which from now on shows what only an evaluation knows."""
        self._held_out = row["held_out"]
        self._move(row["step"], row["train"], row["images_per_second"])
        self.say(describe_row(row, self._steps))

    def _move(self, step: int, metrics: Mapping[str, float], images_per_second: float) -> None:
        figures = f"{describe({**self._held_out, **metrics})}  {images_per_second:.0f} images/s"
        self._bar.update(self._task, completed=step, figures=figures)

    def say(self, text: str) -> None:
        """One line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)


def describe(metrics: Mapping[str, float]) -> str:
    """The best known metrics in a few words, or the first three where none is known."""
    names = [name for name in SHOWN if name in metrics] or list(metrics)[:3]
    return "  ".join(f"{name.replace('_', ' ')} {_number(name, metrics[name])}" for name in names)


def describe_row(row: Row, steps: int) -> str:
    """One line about an evaluation."""
    rate = row["step"] / max(row["seconds"], 1e-9)
    left = (steps - row["step"]) / rate
    return (
        f"step {row['step']:,} of {steps:,}  {row['seconds']:.1f} s  held-out: {describe(row['held_out'])}  "
        f"{row['images_per_second']:.0f} images/s  {left:.0f} s left"
    )


def _number(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"
