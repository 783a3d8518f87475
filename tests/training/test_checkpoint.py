from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from line_task import LineTask, fresh_state, recipe

from inverse_graphics.errors import StorageError, TrainingError
from inverse_graphics.training.checkpoint import checkpoints, restore_checkpoint, save_checkpoint
from inverse_graphics.training.run import run
from inverse_graphics.training.state import TrainingState


def trained(steps: int) -> TrainingState:
    settings = recipe(steps=20)
    task = LineTask()(settings)
    state = TrainingState.begin(task.trainable, settings.optimiser, settings.steps, settings.seed)
    for step in range(steps):
        loss, _ = task.trainable.loss(task.batch(step), step, state.generator)
        state.optimiser.apply(loss, step)
        assert state.average is not None
        state.average.update(step + 1)
    state.counters.step = steps
    state.counters.seconds = 1 / 3
    return state


def save(folder: Path, steps: int) -> Path:
    return save_checkpoint(folder, trained(steps), recipe(steps=20).model_dump(mode="json"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_restored_is_what_was_saved(tmp_path: Path) -> None:
    before, after = trained(4), fresh_state(recipe(steps=20))
    assert not torch.equal(after.tensors()["generator"], before.tensors()["generator"])
    restore_checkpoint(save(tmp_path, 4), after)
    assert after.counters == before.counters
    assert after.tensors().keys() == before.tensors().keys()
    for name, tensor in after.tensors().items():
        assert torch.equal(tensor, before.tensors()[name]), name


@pytest.mark.parametrize("average", [None, 0.9])
def test_resuming_goes_on_bit_for_bit(tmp_path: Path, average: float | None) -> None:
    optimiser = {"learning_rate": 0.02, "decay": "linear", "average": average}
    whole = recipe(steps=6, checkpoint_every=3, optimiser=optimiser)
    task = LineTask(spoilt=frozenset({1, 4}))
    straight = run(whole, tmp_path / "straight", build_task=task)

    shutil.copytree(tmp_path / "straight", tmp_path / "resumed")
    shutil.rmtree(tmp_path / "resumed" / "checkpoints" / "step-00000006")
    shutil.rmtree(tmp_path / "resumed" / "weights")
    resumed = run(whole, tmp_path / "resumed", resume=True, build_task=LineTask(spoilt=frozenset({1, 4})))

    one, other = (tmp_path / name / "checkpoints" / "step-00000006" for name in ("straight", "resumed"))
    assert (one / "state.safetensors").read_bytes() == (other / "state.safetensors").read_bytes()
    timing = {"seconds", "images_per_second"}
    rows = [
        [{k: v for k, v in row.items() if k not in timing} for row in r.history] for r in (straight, resumed)
    ]
    assert rows[0] == rows[1]
    assert [row["step"] for row in rows[0]] == [2, 4, 6]
    assert rows[0][-1]["skipped"] == 2


def test_the_latest_two_are_kept(tmp_path: Path) -> None:
    for steps in (1, 2, 10, 3):
        save(tmp_path, steps)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000003", "step-00000010"]


def test_what_a_killed_run_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".step-00000002.abc.tmp").mkdir()
    assert checkpoints(tmp_path) == []
    save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


@pytest.mark.parametrize("moment", [1, 3, 5, 6])  # the others synchronise folders, where failure is borne
def test_a_disk_that_fills_up_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    save(tmp_path, 2)
    before = contents(tmp_path)
    real, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        save(tmp_path, 4)
    assert contents(tmp_path) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_interruption_while_saving_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 2)
    before = contents(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 4)
    assert contents(tmp_path) == before


def truncate(checkpoint: Path) -> None:
    path = checkpoint / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def rewrite(checkpoint: Path, **changes: object) -> None:
    path = checkpoint / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "truncated or damaged"),
        (lambda checkpoint: (checkpoint / "state.safetensors").unlink(), "is missing"),
        (lambda checkpoint: (checkpoint / "checkpoint.json").write_text('{"format'), "not valid JSON"),
        (lambda checkpoint: rewrite(checkpoint, format_version=9), "format version 9"),
        (lambda checkpoint: rewrite(checkpoint, counters={"step": -1}), "step"),
        (lambda checkpoint: rewrite(checkpoint, surprise=1), "surprise"),
    ],
)
def test_a_spoilt_checkpoint_is_one_line(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    save(tmp_path, 2)
    newest = save(tmp_path, 4)
    spoil(newest)
    state = fresh_state(recipe(steps=20))
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    with pytest.raises(TrainingError, match=message) as caught:
        restore_checkpoint(newest, state)
    assert "\n" not in str(caught.value)
    assert "delete" in str(caught.value)
    assert "step-00000002" in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.tensors().items())


def test_a_checkpoint_of_another_optimiser_is_refused(tmp_path: Path) -> None:
    saved = save(tmp_path, 2)
    other = fresh_state(recipe(optimiser={"average": None}))
    with pytest.raises(TrainingError, match=r"holds tensor average\."):
        restore_checkpoint(saved, other)
