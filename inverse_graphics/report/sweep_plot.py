"""Sweeps as a picture: cost of a scene, double logarithmic, one panel for each quantity that is varied."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from inverse_graphics.errors import StorageError, require_extras
from inverse_graphics.files import atomic_write
from inverse_graphics.report.growth import growth
from inverse_graphics.report.render_sweeps import SweepRow, costs, quantities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "faces": "faces of a scene",
    "objects": "objects of a scene",
    "covered": "pixels that the object covers",
    "pixels": "pixels of the picture, as many covered",
}
COLOURS = {"embedded": "#1b6ca8", "pytorch3d": "#c8553d", "pytorch3d-native": "#7a8b3b"}
OTHERS = ("#6b4c9a", "#3f7f7f", "#8a6d3b")
STYLES = {"forward": "-", "forward and backward": "--"}
FORMATS = ("png", "svg", "pdf")


def check_plot_name(file: Path) -> str:
    """Give the kind of picture that a file's name asks for: png, svg or pdf.

    Raises:
        StorageError: another ending.
        MissingExtraError: what draws it is not installed.
    """
    require_extras("a plot", "plots")
    kind = file.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise StorageError(f"cannot draw {file.name}: expected a name that ends in .png, .svg or .pdf")
    return kind


def plot_sweeps(rows: Sequence[SweepRow], file: Path) -> None:
    """Draw the sweeps in `rows` into a PNG, SVG or PDF file.

    Raises:
        StorageError: another ending, or a file that cannot be written.
    """
    kind = check_plot_name(file)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    sweeps = [list(group) for _, group in groupby(rows, key=lambda row: row.varied)]
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "sweeps", "svg.fonttype": "none"}):
        figure = Figure(figsize=(2.6 * len(sweeps), 2.9), layout="constrained")
        panels = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)[0]
        for panel, sweep in zip(panels, sweeps, strict=True):
            _draw(panel, sweep)
        panels[0].set_ylabel("milliseconds a scene")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        metadata = {"Date": None} if kind == "svg" else None
        with atomic_write(file) as opened:
            figure.savefig(opened, format=kind, dpi=100, metadata=metadata)


def _draw(panel: Axes, sweep: Sequence[SweepRow]) -> None:
    """Draw one panel: a line for each engine and direction; their upper slopes stand in its corner."""
    engines = [list(group) for _, group in groupby(sweep, key=lambda row: row.engine)]
    for line, rows in enumerate(engines):
        name, x, slopes = rows[0].engine, quantities(rows), []
        for of, seconds in costs(rows).items():
            label = of if len(engines) == 1 else f"{name}, {of}"
            milliseconds = [1e3 * value for value in seconds]
            panel.loglog(x, milliseconds, STYLES[of], color=_colour(name), marker=".", label=label)
            slopes.append(f"{growth(x, seconds).slope:.2f}")
        text = f"slope {' and '.join(slopes)}"
        panel.text(0.04, 0.96 - 0.07 * line, text, transform=panel.transAxes, va="top", color=_colour(name))
    panel.set_xlabel(TITLES[sweep[0].varied])
    panel.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _colour(engine: str) -> str:
    return COLOURS.get(engine, OTHERS[sum(engine.encode()) % len(OTHERS)])
