"""Plots of studies of adaptive computation time: by time penalty, difficulty and training, and halting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from inverse_graphics.studies.adaptive_tables import SOLVED
from inverse_graphics.studies.curves import Curve, curves_by_variant
from inverse_graphics.studies.plotting import draw_seeds, error_axis, new_figure, tidy
from inverse_graphics.studies.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"act": "#1b6ca8", "relaxed": "#c8553d", "reinforce": "#2a9d8f", "repeat": "#8a8a8a"}
NAMES = {
    "act": "ACT",
    "relaxed": "PACT, relaxed",
    "reinforce": "PACT, score function",
    "repeat": "fixed steps",
}
LEAST = 1e-4
"""Smaller errors are drawn at this value."""
OTHER_COLOUR = "#6b4c9a"


def plot_penalties(records: Sequence[Record], out: Path) -> None:
    """Plot error and steps by time penalty, and error by steps: dots are seeds, lines medians."""
    with new_figure(out / "penalties", 10.5, 3.2) as figure:
        by_error, by_steps, both = figure.subplots(1, 3)
        for method in dict.fromkeys(record["method"] for record in records):
            runs = [record for record in records if record["method"] == method]
            colour = COLOURS.get(method, OTHER_COLOUR)
            name = NAMES.get(method, method)
            _dots(both, [_figure(r, "steps") for r in runs], [_error(r) for r in runs], colour, name)
            if method != "repeat":
                _against_penalty(by_error, runs, _error, colour)
                _against_penalty(by_steps, runs, lambda record: _figure(record, "steps"), colour)
        by_error.set(xlabel="time penalty τ", title="sequences with an error", xscale="log")
        by_steps.set(xlabel="time penalty τ", title="steps per input", xscale="log")
        both.set(xlabel="steps per input", title="sequences with an error, by steps")
        for axes in (by_error, both):
            error_axis(axes, LEAST, SOLVED)
        for axes in (by_error, by_steps, both):
            tidy(axes)
        both.legend(frameon=False, loc="best")


def plot_difficulty(records: Sequence[Record], difficulty: str, out: Path) -> None:
    """Plot steps and errors by difficulty, for the median seed of each variant."""
    from matplotlib.ticker import MaxNLocator

    methods = list(dict.fromkeys(record["method"] for record in records))
    with new_figure(out / "difficulty", 2.8 * len(methods) + 0.4, 5.2) as figure:
        panels = figure.subplots(2, len(methods), squeeze=False, sharex=True, sharey="row")
        for column, method in enumerate(methods):
            runs = [record for record in records if record["method"] == method]
            variants = sorted(
                dict.fromkeys(r["variant"] for r in runs), key=lambda v: float(v.partition("/")[2])
            )
            for index, variant in enumerate(variants):
                shade = 0.25 + 0.75 * (index + 1) / len(variants)
                same = [record for record in runs if record["variant"] == variant]
                _by_difficulty(list(panels[:, column]), same, variant.partition("/")[2], method, shade)
            panels[0, column].set_title(NAMES.get(method, method))
            panels[1, column].set_xlabel(difficulty)
            panels[0, column].legend(
                frameon=False, title="steps ρ" if method == "repeat" else "τ", fontsize=6, loc="best"
            )
            error_axis(panels[1, column], LEAST, SOLVED)
        panels[0, 0].set_ylabel("steps")
        panels[1, 0].set_ylabel("wrong answers")
        for axes in panels.ravel():
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            tidy(axes)


def plot_curves(curves: Sequence[Curve], out: Path) -> None:
    """Plot held-out error against training time: each variant's seeds and their median."""
    groups = curves_by_variant(curves)
    columns = min(4, len(groups))
    rows = -(-len(groups) // columns)
    with new_figure(out / "curves", 2.7 * columns, 2.1 * rows + 0.3) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True)
        for axes, (variant, seeds) in zip(panels.ravel(), groups.items(), strict=False):
            colour = COLOURS.get(variant.partition("/")[0], OTHER_COLOUR)
            draw_seeds(axes, seeds, lambda p: p.seconds / 60, "error", _visible, colour)
            axes.set_title(variant, fontsize=8)
            error_axis(axes, LEAST, SOLVED)
            tidy(axes)
        for axes in panels.ravel()[len(groups) :]:
            axes.set_axis_off()
        for axes in panels[-1]:
            axes.set_xlabel("minutes of training")


def plot_halting(records: Sequence[Record], difficulty: str, out: Path) -> None:
    """Plot the probability of halting at each step by difficulty, for the best run of each method."""
    chosen = [
        min((r for r in records if r["method"] == method), key=_error)
        for method in dict.fromkeys(record["method"] for record in records)
        if method != "repeat"
    ]
    if not chosen:
        return
    with new_figure(out / "halting", 3.2 * len(chosen) + 0.3, 2.7) as figure:
        panels = figure.subplots(1, len(chosen), squeeze=False)[0]
        for axes, record in zip(panels, chosen, strict=True):
            levels = record["evaluation"]["halts"]
            shares = [level["shares"] for level in levels]
            used = 1 + max(i for row in shares for i, share in enumerate(row) if share > 0.005)
            axes.pcolormesh(
                [level["difficulty"] for level in levels],
                range(1, used + 1),
                [[row[step] for row in shares] for step in range(used)],
                cmap="magma_r",
                vmin=0,
                vmax=1,
                shading="nearest",
                rasterized=True,
            )
            axes.set_title(f"{NAMES[record['method']]}, τ = {record['time_penalty']:g}")
            axes.set_xlabel(difficulty)
            axes.set_yticks(range(1, used + 1, max(1, used // 8)))
        panels[0].set_ylabel("halting step")


def _dots(axes: Axes, x: Sequence[float], y: Sequence[float], colour: str, label: str | None = None) -> None:
    """Draw one dot per seed."""
    axes.plot(x, y, "o", color=colour, alpha=0.5, markersize=4, markeredgewidth=0, label=label)


def _against_penalty(axes: Axes, runs: Sequence[Record], value: Any, colour: str) -> None:
    taus = sorted({run["time_penalty"] for run in runs})
    _dots(axes, [r["time_penalty"] for r in runs], [value(r) for r in runs], colour)
    middle = [median(value(r) for r in runs if r["time_penalty"] == tau) for tau in taus]
    axes.plot(taus, middle, color=colour, linewidth=1.6)


def _by_difficulty(
    panels: Sequence[Axes], runs: Sequence[Record], label: str, method: str, shade: float
) -> None:
    middle = sorted(runs, key=_error)[(len(runs) - 1) // 2]
    levels = middle["evaluation"]["by_difficulty"]
    across = [level["difficulty"] for level in levels]
    style: dict[str, Any] = {"color": COLOURS.get(method, OTHER_COLOUR), "alpha": shade, "linewidth": 1.4}
    panels[0].plot(across, [level["steps"] for level in levels], label=label, **style)
    panels[1].plot(across, [max(level["wrong"], LEAST) for level in levels], **style)


def _visible(errors: Sequence[float]) -> list[float]:
    return [max(error, LEAST) for error in errors]


def _figure(record: Record, name: str) -> float:
    return float(record["evaluation"]["metrics"][name])


def _error(record: Record) -> float:
    return max(_figure(record, "error"), LEAST)
