"""Style of the plots of studies: files, sizes, colours, axes, and lines of seeds and medians."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from inverse_graphics.io.files import atomic_write
from inverse_graphics.studies.curves import Axis, Curve, median_curve

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
DOTS_PER_INCH = 120
FONT_SIZE = 8
GRID, REFERENCE = "#e3e3e3", "#333333"
COLOURS = ("#6b4c9a", "#d4a017", "#7a8b3b", "#b5446e", "#3f7f7f", "#8a6d3b", "#e07a5f", "#5c7cfa")
"""Colours of names without a colour of their own."""
SHARES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
"""Ticks of a logit axis, shares."""


@contextmanager
def new_figure(
    file: Path,
    width: float,
    height: float,
    formats: Sequence[str] = FORMATS,
    font_size: float = FONT_SIZE,
) -> Iterator[Figure]:
    """Make a figure that is written at the end of the block; equal figures give equal bytes.

    Args:
        file: the file without suffix.
        width: width, inches.
        height: height, inches.
        formats: suffixes of the files to write.
        font_size: font size, points.

    Raises:
        StorageError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": font_size, "svg.hashsalt": file.name, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        for kind in formats:
            metadata = {"Date": None} if kind == "svg" else None
            with atomic_write(file.with_name(f"{file.name}.{kind}")) as opened:
                figure.savefig(opened, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)


def colours_of(names: Iterable[str], own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Assign a colour to each name: its own if it has one, else the next of `COLOURS`."""
    others, known = cycle(COLOURS), own or {}
    return {name: known.get(name) or next(others) for name in names}


def tidy(axes: Axes) -> None:
    """Draw light grid lines behind the data, and remove the top and right spines."""
    axes.grid(True, which="major", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def without_axes(axes: Axes) -> None:
    """Remove ticks and spines, for images."""
    axes.set_xticks([])
    axes.set_yticks([])


def share_axis(axes: Axes) -> None:
    """Use a logit y axis of shares, in per cent."""
    axes.set_yscale("logit")
    axes.set_yticks(SHARES)
    _in_per_cent(axes)


def error_axis(axes: Axes, least: float, solved: float) -> None:
    """Use a logarithmic y axis of error rates, in per cent, from `least`, with a line at `solved`."""
    axes.set_yscale("log")
    axes.set_ylim(0.8 * least, 1.2)
    _in_per_cent(axes)
    axes.axhline(solved, color=REFERENCE, linewidth=0.7, linestyle=":")


def draw_seeds(
    axes: Axes,
    curves: Sequence[Curve],
    x: Axis,
    metric: str,
    shown: Callable[[Sequence[float]], Sequence[float]],
    colour: str,
    style: str = "-",
    marker: str = "",
) -> None:
    """Draw a metric of each seed as a thin line, and the median over seeds as a thick one.

    Args:
        axes: the axes.
        curves: one curve per seed.
        x: the x axis.
        metric: name of the metric; points without it are omitted.
        shown: converts values of the metric to plotted values.
        colour: colour of all lines.
        style: line style of all lines, as matplotlib names it.
        marker: marker of the median's points.
    """
    for curve in curves if len(curves) > 1 else []:
        points = [point for point in curve if metric in point.metrics]
        values = shown([point.metrics[metric] for point in points])
        axes.plot([x(point) for point in points], values, style, color=colour, linewidth=0.7, alpha=0.5)
    across, middle = median_curve(curves, x, metric)
    axes.plot(across, shown(middle), style, color=colour, linewidth=1.8, marker=marker, markersize=4)


def resolvable_shares(values: Sequence[float], images: int) -> list[float]:
    """Clamp shares away from 0 and 1 by half the resolution of `images` images, for a logit axis."""
    return [min(max(value, 0.5 / images), 1 - 0.5 / images) for value in values]


def seeds_label(variant: str, seeds: int, more: str = "") -> str:
    """The legend label of a variant, with the number of its seeds."""
    return f"{variant} ({seeds} seed{'' if seeds == 1 else 's'}{more})"


def legend_below(figure: Figure, entries: Sequence[Artist], columns: int) -> None:
    """Draw a legend below all panels, in rows of at most `columns` entries."""
    rows = -(-len(entries) // columns)
    figure.legend(
        handles=list(entries), loc="outside lower center", ncols=-(-len(entries) // rows), frameon=False
    )


def _in_per_cent(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.yaxis.set_minor_locator(NullLocator())
