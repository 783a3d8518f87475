from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from line_task import LineTask, recipe
from rich.console import Console

from inverse_graphics.errors import TrainingError
from inverse_graphics.training.checkpoint import checkpoints, read_document_of
from inverse_graphics.training.divergence import MIN_REFERENCE, RECENT, REFERENCE, DivergenceMonitor
from inverse_graphics.training.optimiser import OptimiserSettings
from inverse_graphics.training.recipe import Recipe
from inverse_graphics.training.run import BuildTask, run
from inverse_graphics.training.task import Task

SETTINGS = OptimiserSettings(gradient_clip=500.0)


def noise(count: int, seed: int = 0, spread: float = 1.0) -> list[float]:
    return (spread * torch.randn(count, generator=torch.Generator().manual_seed(seed))).tolist()


def messages(losses: list[float], norms: list[float]) -> list[tuple[int, str]]:
    """What a monitor says of these steps, with the step at which it says it."""
    monitor = DivergenceMonitor()
    said = [monitor.observe(n + 1, *one, SETTINGS) for n, one in enumerate(zip(losses, norms, strict=True))]
    assert len(monitor.losses) == len(monitor.norms) <= RECENT + REFERENCE
    return [(step + 1, text) for step, text in enumerate(said) if text is not None]


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_learns_is_left_alone(seed: int) -> None:
    steps = 1500
    losses = [-15 + 20 * math.exp(-n / 100) + 2 * e for n, e in enumerate(noise(steps, seed))]
    # heavy tails, and a norm that grows as the posterior gets sharper
    norms = [(30 + n / 10) * math.exp(e) for n, e in enumerate(noise(steps, seed + 100))]
    assert messages(losses, norms) == []


def test_single_outliers_are_not_a_divergence() -> None:
    norms = [1e6 if n % 5 == 0 else 30.0 for n in range(600)]
    losses = [1e4 if n % 5 == 1 else e for n, e in enumerate(noise(600))]
    assert messages(losses, norms) == []


def test_norms_that_grow_are_told_once_with_what_to_do() -> None:
    norms = [25 * math.exp(0.1 * e) for e in noise(300)]
    norms += [25 * 1.05**n for n in range(150)]
    ((step, text),) = messages(noise(450), norms)
    assert 300 + 45 < step < 300 + 80  # 1.05^48 = 10, seen in the median of the last 20
    assert f"step {step}: this run diverges: the median norm of the gradient is" in text
    assert "optimiser.learning_rate (now 0.001)" in text
    assert "optimiser.gradient_clip (now 500)" in text
    assert f"before step {step - RECENT}" in text


def test_a_loss_that_rises_is_told_whatever_its_sign() -> None:
    for level in (-1000.0, 0.0, 1000.0):
        losses = [level + e for e in noise(300)] + [level + 12 + e for e in noise(60, 1)]
        ((step, text),) = messages(losses, [30.0] * 360)
        assert 300 < step <= 300 + RECENT
        assert "the median loss is" in text


def test_a_loss_that_falls_is_no_divergence() -> None:
    losses = noise(300) + [e - 100 for e in noise(100)]
    assert messages(losses, [30.0] * 400) == []


def test_a_run_that_comes_back_is_told_too() -> None:
    norms = [30.0] * 200 + [3000.0] * 400 + [40.0] * 100
    (first, said), (last, again) = messages(noise(700), norms)
    assert "this run diverges" in said  # in spite of 400 such steps, more than the reference holds
    assert 200 < first <= 200 + RECENT
    assert 600 < last <= 600 + RECENT
    assert f"again as before step {first - RECENT}" in again


def test_a_run_that_has_hardly_begun_is_not_judged() -> None:
    steps = MIN_REFERENCE + RECENT - 1
    assert messages(noise(steps), [10.0**n for n in range(steps)]) == []


class Diverging:
    """A line task whose loss is scaled up from some step on."""

    def __init__(self, begin: int) -> None:
        self.begin = begin

    def __call__(self, settings: Recipe) -> Task:
        task = LineTask()(settings)
        trainable = task.trainable
        plain = trainable.loss

        def loss(batch, step, generator):
            value, metrics = plain(batch, step, generator)
            return value * (1000.0 if step >= self.begin else 1.0), metrics

        trainable.loss = loss
        return replace(task, trainable=trainable)


def transcript(settings: Recipe, folder: Path, task: BuildTask, *, resume: bool = False) -> list[str]:
    heard = io.StringIO()
    run(settings, folder, build_task=task, console=Console(file=heard, width=300), resume=resume)
    return heard.getvalue().splitlines()


def test_the_trainer_says_so_and_again_at_the_end(tmp_path: Path) -> None:
    settings = recipe(steps=150, evaluation={"every": 50}, checkpoint_every=50)
    lines = transcript(settings, tmp_path / "bad", Diverging(100))
    assert sum("this run diverges" in line for line in lines) == 1
    assert sum("has diverged since step" in line for line in lines) == 1
    assert not any("diverge" in line for line in transcript(settings, tmp_path / "good", LineTask()))


def test_a_resumed_run_says_the_same(tmp_path: Path) -> None:
    settings = recipe(steps=150, evaluation={"every": 50}, checkpoint_every=50)
    whole = transcript(settings, tmp_path / "whole", Diverging(100))
    short = settings.model_copy(update={"steps": 100})
    first = transcript(short, tmp_path / "parts", Diverging(100))
    (tmp_path / "parts" / "weights").rmdir()
    second = transcript(settings, tmp_path / "parts", Diverging(100), resume=True)
    said = [[line for line in lines if "diverge" in line] for lines in (whole, first + second)]
    assert len(said[0]) == 2
    latest = read_document_of(checkpoints(tmp_path / "whole" / "checkpoints")[-1]).counters
    assert latest.divergence.since is not None
    assert [line.partition(":")[0] for line in said[0]] == [line.partition(":")[0] for line in said[1]]


def test_the_first_step_that_is_not_finite_is_told(tmp_path: Path) -> None:
    settings = recipe(steps=12, evaluation={"every": 12})
    lines = transcript(settings, tmp_path / "some", LineTask(frozenset({3, 4, 9})))
    assert [line.split(":")[0] for line in lines if "not finite" in line] == ["step 4", "step 10"]
    with pytest.raises(TrainingError, match="10 steps in a row"):
        transcript(recipe(steps=30), tmp_path / "all", LineTask(frozenset(range(30))))
