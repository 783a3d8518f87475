"""The training loop: steps, evaluations and checkpoints, until the last step or a request to stop."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Self

from inverse_graphics.errors import TrainingError
from inverse_graphics.training.checkpoint import save_checkpoint
from inverse_graphics.training.progress import Display, RunLog
from inverse_graphics.training.recipe import Recipe
from inverse_graphics.training.state import Row, TrainingState
from inverse_graphics.training.task import Evaluation, Task

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A context in which Ctrl-C and SIGTERM request a stop after the current step.

    A second Ctrl-C interrupts immediately.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


@dataclass
class Trainer:
    """One run of a task.

    Training time is the wall time of batches, steps and checkpoints, without evaluations.

    Attributes:
        recipe: of the run.
        task: to train.
        state: of the run.
        checkpoints: their folder.
        log: of the run.
        display: of progress.
    """

    recipe: Recipe
    task: Task
    state: TrainingState
    checkpoints: Path
    log: RunLog
    display: Display

    def train(self, stop: StopRequest) -> bool:
        """Train to the last step or to a request to stop; True if the last step was done.

        Raises:
            TrainingError: too many steps in a row were not finite.
            StorageError: a checkpoint or the log could not be written; the previous one is unchanged.
        """
        counters = self.state.counters
        while counters.step < self.recipe.steps and not stop.requested:
            start = perf_counter()
            self._step()
            counters.seconds += perf_counter() - start
            self.display.step(counters.step, counters.means(), self._images_per_second())
            if self._due(self.recipe.evaluation.every):
                self._evaluate()
            if self._due(self.recipe.checkpoint_every) or stop.requested:
                self._save()
        if counters.divergence.since is not None:
            self.display.message(
                f"this run has diverged since step {counters.divergence.since:,}: its weights are worse"
            )
        return counters.step >= self.recipe.steps

    def _due(self, every: int) -> bool:
        step = self.state.counters.step
        return step % every == 0 or step == self.recipe.steps

    def _step(self) -> None:
        """Run one step; one that is not finite changes no parameter and is counted."""
        state, counters = self.state, self.state.counters
        batch = self.task.batch(counters.step)
        loss, metrics = self.task.trainable.loss(batch, counters.step, state.generator)
        norm = state.optimiser.apply(loss, counters.step)
        counters.step += 1
        if norm is None:
            self._skip()
            return
        counters.skipped_in_a_row = 0
        if state.average is not None:
            state.average.update(counters.step)
        counters.count({"loss": loss.detach(), "gradient_norm": norm, **metrics})
        warning = counters.divergence.observe(counters.step, loss.item(), norm, self.recipe.optimiser)
        if warning is not None:
            self.display.message(warning)

    def _skip(self) -> None:
        counters, limit = self.state.counters, self.recipe.optimiser.most_skipped_in_a_row
        counters.skipped += 1
        counters.skipped_in_a_row += 1
        if counters.skipped_in_a_row == 1:
            self.display.message(
                f"step {counters.step:,}: the loss or its gradient was not finite: no weight was changed; "
                f"{limit} such steps in a row end the run"
            )
        if counters.skipped_in_a_row >= limit:
            raise TrainingError(
                f"the loss or its gradient was not finite in {limit} steps in a row, the last of them step "
                f"{counters.step}: try a smaller optimiser.learning_rate or an optimiser.gradient_clip"
            )

    def _images_per_second(self) -> float:
        """The rate since the last evaluation."""
        counters = self.state.counters
        since: Row = counters.history[-1] if counters.history else {"step": 0, "seconds": 0.0}
        steps, seconds = counters.step - since["step"], counters.seconds - since["seconds"]
        return steps * self.recipe.batch_size / seconds if seconds > 0 else 0.0

    def _evaluate(self) -> None:
        with self.state.evaluation_mode():
            evaluation = self.task.evaluate()
        row = self._row(evaluation)
        counters = self.state.counters
        counters.history.append(row)
        counters.sums = {}
        self.log.add(row, evaluation)
        self.display.evaluated(row)

    def _row(self, evaluation: Evaluation) -> dict[str, Any]:
        counters = self.state.counters
        return {
            "step": counters.step,
            "seconds": counters.seconds,
            "images_per_second": self._images_per_second(),
            "learning_rate": self.state.optimiser.learning_rate(counters.step - 1),
            "skipped": counters.skipped,
            "train": counters.means(),
            "held_out": {name: float(value) for name, value in evaluation.metrics.items()},
        }

    def _save(self) -> None:
        start = perf_counter()
        save_checkpoint(self.checkpoints, self.state, self.recipe.model_dump(mode="json"))
        self.state.counters.seconds += perf_counter() - start
