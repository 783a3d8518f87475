"""Pictures of a study of thinking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from inverse_graphics.io.files import atomic_write
from inverse_graphics.studies.adaptive_summary import SOLVED, Record
from inverse_graphics.studies.curve_plot import Curve, median_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"act": "#1b6ca8", "relaxed": "#c8553d", "reinforce": "#2a9d8f", "repeat": "#8a8a8a"}
NAMES = {
    "act": "ACT",
    "relaxed": "PACT, relaxed",
    "reinforce": "PACT, score function",
    "repeat": "fixed steps",
}
LEAST = 1e-4
"""Errors below are drawn there."""
FORMATS = ("png", "svg")


@contextmanager
def new_figure(file: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure that is written as PNG and SVG once it is drawn.  file: without suffix.

    Raises:
        StorageError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 8, "svg.hashsalt": file.name, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for kind in FORMATS:
            with atomic_write(file.with_suffix(f".{kind}")) as opened:
                metadata = {"Date": None} if kind == "svg" else None
                figure.savefig(opened, format=kind, dpi=120, metadata=metadata)


def plot_penalties(judged: Sequence[Record], out: Path) -> None:
    """Error and steps against the time penalty, and against each other: dots are seeds, lines medians."""
    with new_figure(out / "penalties", 10.5, 3.2) as figure:
        by_error, by_steps, both = figure.subplots(1, 3)
        for method in dict.fromkeys(record["method"] for record in judged):
            runs = [record for record in judged if record["method"] == method]
            colour = COLOURS.get(method, "#6b4c9a")
            both.plot(
                [_figure(r, "steps") for r in runs],
                [_error(r) for r in runs],
                "o",
                color=colour,
                alpha=0.6,
                markersize=4,
                markeredgewidth=0,
                label=NAMES.get(method, method),
            )
            if method != "repeat":
                _against_penalty(by_error, runs, _error, colour)
                _against_penalty(by_steps, runs, lambda record: _figure(record, "steps"), colour)
        by_error.set(xlabel="time penalty τ", title="sequences with an error", xscale="log")
        by_steps.set(xlabel="time penalty τ", title="steps for an input", xscale="log")
        both.set(xlabel="steps for an input", title="sequences with an error, by steps")
        for axes in (by_error, both):
            _error_axis(axes)
        for axes in (by_error, by_steps, both):
            _tidy(axes)
        both.legend(frameon=False, loc="best")


def plot_difficulty(judged: Sequence[Record], difficulty: str, out: Path) -> None:
    """Steps and errors by difficulty of the input, the median seed of each method's variants."""
    from matplotlib.ticker import MaxNLocator

    methods = list(dict.fromkeys(record["method"] for record in judged))
    with new_figure(out / "difficulty", 2.8 * len(methods) + 0.4, 5.2) as figure:
        panels = figure.subplots(2, len(methods), squeeze=False, sharex=True, sharey="row")
        for column, method in enumerate(methods):
            runs = [record for record in judged if record["method"] == method]
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
            _error_axis(panels[1, column])
        panels[0, 0].set_ylabel("steps")
        panels[1, 0].set_ylabel("wrong answers")
        for axes in panels.ravel():
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            _tidy(axes)


def plot_curves(curves: Sequence[Curve], out: Path) -> None:
    """Held-out error against steps of training and against time, of each variant's seeds and their median."""
    variants = list(dict.fromkeys(one[0].variant for one in curves if one))
    columns = min(4, len(variants))
    rows = -(-len(variants) // columns)
    with new_figure(out / "curves", 2.7 * columns, 2.1 * rows + 0.3) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True)
        for axes, variant in zip(panels.ravel(), variants, strict=False):
            same = [one for one in curves if one and one[0].variant == variant]
            colour = COLOURS.get(variant.partition("/")[0], "#6b4c9a")
            for one in same:
                axes.plot(
                    [p.seconds / 60 for p in one],
                    [max(p.metrics["error"], LEAST) for p in one],
                    color=colour,
                    linewidth=0.7,
                    alpha=0.5,
                )
            x, middle = median_curve(same, lambda p: p.seconds / 60, "error")
            axes.plot(x, [max(y, LEAST) for y in middle], color=colour, linewidth=1.8)
            axes.set_title(variant, fontsize=8)
            _error_axis(axes)
            _tidy(axes)
        for axes in panels.ravel()[len(variants) :]:
            axes.set_axis_off()
        for axes in panels[-1]:
            axes.set_xlabel("minutes of training")


def plot_halting(judged: Sequence[Record], difficulty: str, out: Path) -> None:
    """With which weight each step is the last, by difficulty: the best run of each method."""
    chosen = [
        min((r for r in judged if r["method"] == method), key=_error)
        for method in dict.fromkeys(record["method"] for record in judged)
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
        panels[0].set_ylabel("step at which it halts")


def _against_penalty(axes: Axes, runs: Sequence[Record], value: Any, colour: str) -> None:
    taus = sorted({run["time_penalty"] for run in runs})
    axes.plot(
        [r["time_penalty"] for r in runs],
        [value(r) for r in runs],
        "o",
        color=colour,
        alpha=0.45,
        markersize=3.5,
        markeredgewidth=0,
    )
    middle = [median(value(r) for r in runs if r["time_penalty"] == tau) for tau in taus]
    axes.plot(taus, middle, color=colour, linewidth=1.6)


def _by_difficulty(
    panels: Sequence[Axes], runs: Sequence[Record], label: str, method: str, shade: float
) -> None:
    middle = sorted(runs, key=_error)[(len(runs) - 1) // 2]
    levels = middle["evaluation"]["by_difficulty"]
    across = [level["difficulty"] for level in levels]
    style: dict[str, Any] = {"color": COLOURS.get(method, "#6b4c9a"), "alpha": shade, "linewidth": 1.4}
    panels[0].plot(across, [level["steps"] for level in levels], label=label, **style)
    panels[1].plot(across, [max(level["wrong"], LEAST) for level in levels], **style)


def _figure(record: Record, name: str) -> float:
    return float(record["evaluation"]["metrics"][name])


def _error(record: Record) -> float:
    return max(_figure(record, "error"), LEAST)


def _error_axis(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_yscale("log")
    axes.set_ylim(0.8 * LEAST, 1.2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.axhline(SOLVED, color="#333333", linewidth=0.7, linestyle=":")


def _tidy(axes: Axes) -> None:
    axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
