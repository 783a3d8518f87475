"""The log of a run: `history.jsonl`, one JSON object a line, and TensorBoard's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from inverse_graphics.io.files import atomic_write
from inverse_graphics.training.state import Row
from inverse_graphics.training.task import Evaluation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

HISTORY, BOARD = "history.jsonl", "tensorboard"


class RunLog:
    """Writes rows and pictures of a run; entered, it forgets what lies beyond `history`.

    history: the rows that stand; a run that resumes may have logged more than it had saved.
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
        """Log an evaluation; `row` is the newest of the history."""
        self._write_history()
        for name, value in _flat(row).items():
            self._board.add_scalar(name, value, row["step"])
        for name, picture in evaluation.pictures.items():
            self._board.add_image(name, np.clip(picture, 0, 1), row["step"], dataformats="HWC")
        self._board.flush()

    def _write_history(self) -> None:
        """Write all rows anew: they are few, and so a line is never half-written."""
        with atomic_write(self._folder / HISTORY, "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in self._history)


def _flat(row: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Numbers by slash-separated names: {"held_out": {"elbo": 1.0}} is {"held_out/elbo": 1.0}."""
    numbers: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            numbers |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name != "step":
            numbers[prefix + name] = value
    return numbers
