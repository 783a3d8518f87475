"""Search beside inference as a picture: how often right, and how far from the truth, over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from inverse_graphics.benchmarks.optimise import OptimiseRow
from inverse_graphics.benchmarks.render_sweeps import check_plot_name
from inverse_graphics.io.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "network": "network",
    "network, then search": "network, then search",
    "gradients": "gradients alone, by restarts",
    "search": "gradients and exchanges, by restarts",
}
COLOURS = {
    "network": "#1b6ca8",
    "network, then search": "#6b4c9a",
    "gradients": "#8a6d3b",
    "search": "#c8553d",
}


def plot_optimisation(rows: Sequence[OptimiseRow], file: Path) -> None:
    """Draw success and log-likelihood over seconds an image into a PNG, SVG or PDF file.

    Raises:
        StorageError: another ending, or a file that cannot be written.
    """
    kind = check_plot_name(file)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "optimise", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.6, 3.6), layout="constrained")
        success, likelihood = figure.subplots(1, 2)
        _draw(success, rows, lambda row: 100 * row.success)
        success.set_ylabel("scenes found as they are, %")
        success.set_ylim(-4, 106)
        _draw(likelihood, rows, lambda row: row.above_truth)
        likelihood.set_yscale("symlog", linthresh=10)
        likelihood.set_ylim(2 * min(-10.0, *(row.above_truth for row in rows)), 30)
        likelihood.axhline(0, color="#999999", linewidth=0.8)
        likelihood.set_ylabel("log p(x | scene) above the truth's, nats")
        handles, labels = success.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        metadata = {"Date": None} if kind == "svg" else None
        with atomic_write(file) as opened:
            figure.savefig(opened, format=kind, dpi=110, metadata=metadata)


def _draw(panel: Axes, rows: Sequence[OptimiseRow], height: Callable[[OptimiseRow], float]) -> None:
    """One line for each method, over its restarts, which stand beside their points."""
    for method, group in groupby((row for row in rows if row.method in LABELS), key=lambda row: row.method):
        own = list(group)
        x, y = [row.seconds_alone for row in own], [height(row) for row in own]
        panel.semilogx(x, y, marker="o", markersize=5, color=COLOURS[method], label=LABELS[method])
        if method in ("gradients", "search"):
            for row, place in zip(own, zip(x, y, strict=True), strict=True):
                panel.annotate(
                    f"{row.restarts}",
                    place,
                    xytext=(0, 6),
                    textcoords="offset points",
                    fontsize=7,
                    ha="center",
                )
    _decades(panel, [row.seconds_alone for row in rows if row.method in LABELS])
    panel.set_xlabel("processor seconds an image, by itself")
    panel.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _decades(panel: Axes, seconds: Sequence[float]) -> None:
    """Let the axis run over whole decades, told as plain numbers."""
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    panel.set_xlim(10**low, 10**high)
    panel.set_xticks(
        [10.0**power for power in range(low, high + 1)], [f"{10.0**p:g}" for p in range(low, high + 1)]
    )
    panel.minorticks_off()
