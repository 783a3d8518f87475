"""Counting over training as a picture: accuracy and bound, against steps and time, a line for each seed.

Confusion matrices of counts as a picture: one panel for each variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inverse_graphics.io.files import atomic_write
from inverse_graphics.studies.curve_plot import SHARES, Axis, Curve, colours_of, median_curve

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


ABREAST = 5
"""Most panels in a row."""

Matrix = Sequence[Sequence[int]]
"""Numbers of images: rows are true counts from 0, columns inferred ones."""


def pooled(matrices: Sequence[Matrix]) -> list[list[int]]:
    """The sum of matrices, as large as the largest of them."""
    size = max((len(matrix) for matrix in matrices), default=0)
    total = [[0] * size for _ in range(size)]
    for matrix in matrices:
        for true, row in enumerate(matrix):
            for inferred, number in enumerate(row):
                total[true][inferred] += number
    return total


def plot_confusions(matrices: Mapping[str, Matrix], file: Path) -> None:
    """Draw a PNG: shares of each true count as colours, numbers of images written over them.

    Raises:
        StorageError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    abreast = min(max(len(matrices), 1), ABREAST)
    down = -(-max(len(matrices), 1) // abreast)
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(2.3 * abreast + 0.4, 2.4 * down + 0.2), layout="constrained")
        panels = figure.subplots(down, abreast, squeeze=False).ravel()
        for axes, (name, matrix) in zip(panels, matrices.items(), strict=False):
            _draw_matrix(axes, name, matrix)
        for axes in panels[len(matrices) :]:
            axes.set_axis_off()
        with atomic_write(file) as opened:
            figure.savefig(opened, format="png", dpi=120)


def _draw_matrix(axes: Axes, name: str, matrix: Matrix) -> None:
    shares = [[number / max(sum(row), 1) for number in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true, row in enumerate(matrix):
        for inferred, number in enumerate(row):
            colour = "white" if shares[true][inferred] > 0.5 else "black"
            axes.text(inferred, true, f"{number:,}", ha="center", va="center", color=colour)
    axes.set_title(name, fontsize=9)
    axes.set(xlabel="inferred count", ylabel="true count")
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))
