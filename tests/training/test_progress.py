from __future__ import annotations

import io

import pytest
from rich.console import Console

from inverse_graphics.training.progress import display_for, format_metrics

ROW = {
    "step": 250,
    "seconds": 10.0,
    "images_per_second": 1600.4,
    "train": {"elbo": 300.0},
    "held_out": {"count_accuracy": 0.98765, "elbo": 512.34},
}


def displayed(terminal: bool) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=terminal)
    with display_for(console, 1000, 0) as display:
        display.message("training [b]digits[/b] in runs/digits-seed0")
        display.step(1, {"elbo": -5.0}, 10.0)
        display.evaluated(ROW)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_there_is_one_line_per_evaluation() -> None:
    lines = displayed(terminal=False).splitlines()
    assert lines == [
        "training [b]digits[/b] in runs/digits-seed0",
        "step 250 of 1,000  10.0 s  held-out: elbo 512.3  count accuracy 98.77 %  1600 images/s  30 s left",
    ]


@pytest.mark.parametrize("part", ["elbo 300", "count accuracy 98.77 %", "1600 images/s", "250/1000", "left"])
def test_a_terminal_shows_the_newest_figures_in_a_bar(part: str) -> None:
    last = displayed(terminal=True).rpartition("\r")[2]
    assert part in last


def test_a_resumed_run_begins_where_it_stood() -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    with display_for(console, 1000, 400):
        pass
    assert isinstance(console.file, io.StringIO)
    assert "400/1000" in console.file.getvalue()


def test_unknown_metrics_are_shown_too_but_not_all() -> None:
    assert format_metrics({"a_b": 1.0, "c": 2.0, "d": 3.0, "e": 4.0}) == "a b 1  c 2  d 3"


def test_without_a_terminal_a_line_comes_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("inverse_graphics.training.progress.time.monotonic", lambda: now)
    console = Console(file=io.StringIO(), width=160)
    with display_for(console, 1000, 100) as display:
        for step in range(101, 201):
            now += 1.0
            display.step(step, {"loss": 2.0}, 64.0)
            if step == 150:
                display.evaluated(ROW)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["130", "250", "180"]
    assert lines[0] == "step 130 of 1,000  loss 2  64 images/s  870 s left"
