from __future__ import annotations

import io
import json
import math
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import yaml
from line_task import LineTask, recipe
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from inverse_graphics.errors import StorageError, TrainingError
from inverse_graphics.training.checkpoint import checkpoints
from inverse_graphics.training.recipe import Air2DRecipe, Recipe
from inverse_graphics.training.run import TrainingResult, run, run_folder
from inverse_graphics.training.task import Evaluation, Task


def listening() -> Console:
    return Console(file=io.StringIO(), width=200)


def heard(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@dataclass
class WithImages:
    """A line task whose batches come with a side effect."""

    before: Callable[[int], object]
    task: LineTask

    def __call__(self, settings: Recipe) -> Task:
        built = self.task(settings)

        def batch(step: int) -> Tensor:
            self.before(step)
            return built.batch(step)

        return replace(built, batch=batch)


def test_training_makes_the_loss_fall(tmp_path: Path) -> None:
    optimiser = {"learning_rate": 0.1, "decay": "linear", "average": 0.9}
    settings = recipe(
        steps=300, batch_size=64, evaluation={"every": 10}, checkpoint_every=300, optimiser=optimiser
    )
    task = LineTask()
    result = run(settings, tmp_path / "run", build_task=task, console=listening())
    errors = [-row["held_out"]["elbo"] for row in result.history]
    # seen: from 3.0 or more to 0.22 or less with each of 5 seeds
    assert errors[-1] < 0.4 < 2 < errors[0] < 14.25  # the last for a network that knows nothing
    losses = [row["train"]["loss"] for row in result.history]
    assert losses[-1] < losses[0] / 5
    assert (result.finished, result.step) == (True, 300)
    assert task.exported == [result.weights]
    assert not any(task.modes)


def test_the_run_folder_holds_what_it_should(tmp_path: Path) -> None:
    settings = recipe()
    folder = run_folder(settings, tmp_path)
    assert folder == tmp_path / "line-seed3"
    result = run(settings, folder, build_task=LineTask(), console=listening())
    names = {"recipe.yaml", "history.jsonl", "checkpoints", "tensorboard", "weights"}
    assert {path.name for path in folder.iterdir()} == names
    assert Air2DRecipe.model_validate(yaml.safe_load((folder / "recipe.yaml").read_text())) == settings
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert rows == list(result.history)
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert [path.name for path in checkpoints(folder / "checkpoints")] == ["step-00000003", "step-00000006"]

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("held_out/elbo")] == [
        (row["step"], pytest.approx(row["held_out"]["elbo"], rel=1e-5)) for row in rows
    ]
    image = events.Images("field")[0]
    assert (image.width, image.height) == (5, 4)


def test_metrics_are_means_since_the_last_evaluation(tmp_path: Path) -> None:
    result = run(recipe(), tmp_path / "run", build_task=LineTask(), console=listening())
    every = run(
        recipe(evaluation={"every": 1}), tmp_path / "each", build_task=LineTask(), console=listening()
    )
    singles = [row["train"]["loss"] for row in every.history]
    assert [row["train"]["loss"] for row in result.history] == pytest.approx(
        [(singles[k] + singles[k + 1]) / 2 for k in (0, 2, 4)]
    )
    assert "undefined" not in result.history[0]["train"]


def test_seconds_are_those_of_training_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("inverse_graphics.training.trainer.perf_counter", lambda: now)

    def pass_time(step: int) -> None:
        nonlocal now
        now += 2.0

    @dataclass
    class SlowlyJudged(WithImages):
        def __call__(self, settings: Recipe) -> Task:
            built = super().__call__(settings)

            def evaluate() -> Evaluation:
                nonlocal now
                now += 1000.0
                return built.evaluate()

            return replace(built, evaluate=evaluate)

    built = SlowlyJudged(pass_time, LineTask())
    result = run(recipe(), tmp_path / "run", build_task=built, console=listening())
    assert [row["seconds"] for row in result.history] == [4.0, 8.0, 12.0]
    assert [row["images_per_second"] for row in result.history] == [8.0, 8.0, 8.0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step_and_it_can_go_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    console = listening()

    def interrupt(step: int) -> None:
        if step == 3:
            signal.raise_signal(number)

    stopped = run(recipe(), tmp_path / "run", build_task=WithImages(interrupt, LineTask()), console=console)
    assert (stopped.finished, stopped.step, stopped.weights) == (False, 4, None)
    assert checkpoints(tmp_path / "run" / "checkpoints")[-1].name == "step-00000004"
    assert "step 4" in heard(console)
    assert "inverse-graphics train line --resume" in heard(console)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers

    finished = run(recipe(), tmp_path / "run", resume=True, build_task=LineTask(), console=listening())
    straight = run(recipe(), tmp_path / "straight", build_task=LineTask(), console=listening())
    assert finished.finished
    last = [result.folder / "checkpoints/step-00000006/state.safetensors" for result in (finished, straight)]
    assert last[0].read_bytes() == last[1].read_bytes()


def test_a_second_ctrl_c_interrupts_at_once(tmp_path: Path) -> None:
    def interrupt(step: int) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(recipe(), tmp_path / "run", build_task=WithImages(interrupt, LineTask()), console=listening())
    assert signal.getsignal(signal.SIGINT) is before
    assert checkpoints(tmp_path / "run" / "checkpoints")[-1].name == "step-00000003"


def test_steps_that_are_not_finite_are_skipped_and_counted(tmp_path: Path) -> None:
    task = LineTask(spoilt=frozenset({0, 1, 3}))
    result = run(recipe(), tmp_path / "run", build_task=task, console=listening())
    assert [row["skipped"] for row in result.history] == [2, 3, 3]
    assert result.history[0]["train"] == {}
    assert all(math.isfinite(row["held_out"]["elbo"]) for row in result.history)


def test_too_many_of_them_in_a_row_end_the_run(tmp_path: Path) -> None:
    optimiser = {"most_skipped_in_a_row": 3}
    almost = LineTask(spoilt=frozenset({0, 1, 3, 4}))
    run(recipe(optimiser=optimiser), tmp_path / "almost", build_task=almost, console=listening())
    diverged = LineTask(spoilt=frozenset({3, 4, 5}))
    with pytest.raises(TrainingError, match=r"3 steps in a row.*step 6.*learning_rate"):
        run(recipe(optimiser=optimiser), tmp_path / "run", build_task=diverged, console=listening())
    assert checkpoints(tmp_path / "run" / "checkpoints")[-1].name == "step-00000003"


def finished_run(folder: Path) -> TrainingResult:
    return run(recipe(), folder, build_task=LineTask(), console=listening())


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    finished_run(tmp_path / "run")
    with pytest.raises(TrainingError, match="already holds a run, at step-00000006: add --resume"):
        finished_run(tmp_path / "run")


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint to resume"):
        run(recipe(), tmp_path / "run", resume=True, build_task=LineTask(), console=listening())
    assert not (tmp_path / "run").exists()


def test_only_the_same_recipe_is_resumed(tmp_path: Path) -> None:
    finished_run(tmp_path / "run")
    other = recipe(batch_size=17, optimiser={"learning_rate": 0.5})
    with pytest.raises(TrainingError, match=r"batch_size.*optimiser\.learning_rate"):
        run(other, tmp_path / "run", resume=True, build_task=LineTask(), console=listening())
    with pytest.raises(TrainingError, match="is at step 6, beyond the 5 of the recipe"):
        run(recipe(steps=5), tmp_path / "run", resume=True, build_task=LineTask(), console=listening())


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    finished_run(tmp_path / "run")
    (tmp_path / "run" / "weights").rmdir()
    longer = run(recipe(steps=8), tmp_path / "run", resume=True, build_task=LineTask(), console=listening())
    assert [row["step"] for row in longer.history] == [2, 4, 6, 8]


def test_rows_beyond_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    settings = recipe(steps=8)

    def crash(step: int) -> None:
        if step == 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(settings, tmp_path / "run", build_task=WithImages(crash, LineTask()), console=listening())
    rows = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [2, 4]
    run(settings, tmp_path / "run", resume=True, build_task=LineTask(), console=listening())
    rows = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [2, 4, 6, 8]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        finished_run(tmp_path / "file" / "run")


def test_the_recipe_sets_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    run(recipe(threads=2), tmp_path / "run", build_task=LineTask(), console=listening())
    run(recipe(), tmp_path / "default", build_task=LineTask(), console=listening())
    assert asked == [2]


def test_what_export_does_is_told(tmp_path: Path) -> None:
    console = listening()
    run(recipe(), tmp_path / "run", build_task=LineTask(), console=console)
    lines = heard(console).splitlines()
    assert lines[-2] == "writing"
    assert lines[-1].endswith(f"the model is in {tmp_path / 'run' / 'weights'}")


def test_a_stopped_run_says_how_to_use_it_as_it_is(tmp_path: Path) -> None:
    console = listening()
    task = WithImages(lambda step: signal.raise_signal(signal.SIGINT) if step == 3 else None, LineTask())
    run(recipe(), tmp_path / "run", build_task=task, console=console)
    assert f"inverse-graphics models export {tmp_path / 'run'}" in heard(console)
