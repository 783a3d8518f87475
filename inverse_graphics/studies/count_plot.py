"""Counting over training as a picture: accuracy and bound, against steps and time, a line for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inverse_graphics.files import atomic_write
from inverse_graphics.studies.curve_plot import SHARES, colours_of
from inverse_graphics.studies.curves import Axis, Curve, median_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg")
AXES: tuple[tuple[Axis, str], ...] = (
    (lambda point: point.step / 1000, "steps, thousands"),
    (lambda point: point.seconds / 60, "training time, minutes"),
)
ACCURACY = "count_accuracy"


class CountLine(NamedTuple):
    """A variant's curves, one for each seed."""

    variant: str
    curves: list[Curve]


def plot_counting(lines: Sequence[CountLine], folder: Path, images: int) -> None:
    """Draw curves.png and curves.svg: medians over seeds as thick lines, seeds as thin ones.

    images: held-out images, the resolution of shares.

    Raises:
        StorageError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    colours = colours_of([line.variant for line in lines])
    panels = [name for name in (ACCURACY, "elbo") if any(_known(line, name) for line in lines)]
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "counting", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 2.6 * len(panels) + 0.5), layout="constrained")
        grid = figure.subplots(len(panels), len(AXES), squeeze=False, sharex="col", sharey="row")
        for row, metric in zip(grid, panels, strict=True):
            for axes, (x, label) in zip(row, AXES, strict=True):
                for line in lines:
                    _draw(axes, line, x, metric, colours[line.variant], images)
                _finish(axes, metric, label)
            row[0].set_ylabel("counts right" if metric == ACCURACY else "bound, nats")
        key = [Line2D([], [], color=colours[line.variant], label=_title(line)) for line in lines]
        figure.legend(handles=key, loc="outside lower center", ncols=min(4, len(key)), frameon=False)
        for kind in FORMATS:
            metadata = {"Date": None} if kind == "svg" else None
            with atomic_write(folder / f"curves.{kind}") as opened:
                figure.savefig(opened, format=kind, dpi=120, metadata=metadata)


def _title(line: CountLine) -> str:
    return f"{line.variant} ({len(line.curves)} seed{'s' if len(line.curves) > 1 else ''})"


def _known(line: CountLine, metric: str) -> bool:
    return any(metric in point.metrics for one in line.curves for point in one)


def _draw(axes: Axes, line: CountLine, x: Axis, metric: str, colour: str, images: int) -> None:
    for one in line.curves:
        points = [point for point in one if metric in point.metrics]
        shown = _shown([point.metrics[metric] for point in points], metric, images)
        axes.plot([x(point) for point in points], shown, color=colour, linewidth=0.7, alpha=0.5)
    across, middle = median_curve(line.curves, x, metric)
    axes.plot(across, _shown(middle, metric, images), color=colour, linewidth=1.8)


def _shown(values: Sequence[float], metric: str, images: int) -> list[float]:
    """Shares no nearer to 0 and 1 than so many images can tell."""
    if metric != ACCURACY:
        return list(values)
    return [min(max(value, 0.5 / images), 1 - 0.5 / images) for value in values]


def _finish(axes: Axes, metric: str, label: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_xlabel(label)
    axes.set_xlim(left=0)
    axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if metric == ACCURACY:
        axes.set_yscale("logit")
        axes.set_yticks(SHARES)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.yaxis.set_minor_locator(NullLocator())
