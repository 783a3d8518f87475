"""Learning curves of the 3D model: a column per figure, against images and against training time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from inverse_graphics.studies import plotting
from inverse_graphics.studies.curves import Axis, Curve

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

COLOURS = {
    "sleep": "#1b6ca8",
    "wake_sleep": "#2a9d8f",
    "elbo": "#c8553d",
    "supervised/label": "#8a8a8a",
    "supervised/set": "#4a4a4a",
}
"""Colours of the default variants."""
UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))


class Panel(NamedTuple):
    """A panel of the plot.

    Attributes:
        metric: name of the metric.
        label: label of the y axis, with the unit.
        factor: factor from the metric's unit to the label's.
        scale: scale of the y axis, as matplotlib names it.
    """

    metric: str
    label: str
    factor: float
    scale: str


PANELS = (
    Panel("count_accuracy", "count accuracy", 1, "logit"),
    Panel("identity_of_all", "correct kind, of all true objects", 1, "logit"),
    Panel("position_error_m_median", "median position error of matched objects, mm", 1000, "log"),
    Panel("log_likelihood", "log-likelihood per image, 1,000 nats", 1e-3, "linear"),
)


class Line(NamedTuple):
    """A variant's learning curves.

    Attributes:
        variant: name of the variant.
        labels: whether it was trained with labels.
        curves: one curve per seed.
    """

    variant: str
    labels: bool
    curves: list[Curve]

    @property
    def style(self) -> Literal["-", "--"]:
        """Line style: dashed for variants trained with labels."""
        return "--" if self.labels else "-"


def plot_curves(lines: Sequence[Line], folder: Path, images: int, truth: float | None = None) -> None:
    """Write curves.png and curves.svg: medians over seeds as thick lines, seeds as thin ones.

    Args:
        lines: one per variant.
        folder: output folder.
        images: number of held-out images, which bounds the resolution of shares.
        truth: mean log-likelihood of the true scenes, nats.

    Raises:
        StorageError: a file cannot be written.
    """
    colours = plotting.colours_of([line.variant for line in lines], COLOURS)
    with plotting.new_figure(folder / "curves", 13, 5.6) as figure:
        rows = figure.subplots(2, len(PANELS), sharey="col", sharex="row")
        for row, (x, label) in zip(rows, _axes(lines), strict=True):
            for axes, panel in zip(row, PANELS, strict=True):
                _draw(axes, panel, lines, x, colours, images)
                axes.set_xlabel(label)
                if panel.scale == "linear" and truth is not None:
                    axes.axhline(panel.factor * truth, color=plotting.REFERENCE, linewidth=0.8, linestyle=":")
        for axes, panel in zip(rows[0], PANELS, strict=True):
            axes.set_title(panel.label, fontsize=9)
            if panel.scale == "logit":
                shares = [value for line in lines for curve in line.curves
                          for value in _shown(_values(curve, panel), panel, images)]  # fmt: skip
                axes.set_ylim(max(0.8 * min(shares, default=0.1), 0.005), 1 - 0.4 / images)
        _bound_likelihood(rows[0][-1], lines, truth)
        plotting.legend_below(figure, _legend(lines, colours), 6)


def _axes(lines: Sequence[Line]) -> list[tuple[Axis, str]]:
    """The x axes, images and training time, in units chosen by the largest value."""
    longest = max((p.seconds for line in lines for one in line.curves for p in one), default=0.0)
    unit, name = next(((unit, name) for unit, name in UNITS if longest > 2 * unit), UNITS[-1])
    return [
        (lambda p: p.images / 1000, "images seen, thousands"),
        (lambda p: p.seconds / unit, f"training time, {name}"),
    ]


def _draw(
    axes: Axes, panel: Panel, lines: Sequence[Line], x: Axis, colours: dict[str, str], images: int
) -> None:
    shown = partial(_shown, panel=panel, images=images)
    for line in lines:
        plotting.draw_seeds(axes, line.curves, x, panel.metric, shown, colours[line.variant], line.style, ".")
    axes.set_xlim(left=0)
    plotting.tidy(axes)
    if any(_values(curve, panel) for line in lines for curve in line.curves):
        _scale(axes, panel)


def _values(curve: Curve, panel: Panel) -> list[float]:
    return [point.metrics[panel.metric] for point in curve if panel.metric in point.metrics]


def _shown(values: Sequence[float], panel: Panel, images: int) -> list[float]:
    scaled = [panel.factor * value for value in values]
    return plotting.resolvable_shares(scaled, images) if panel.scale == "logit" else scaled


def _scale(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if panel.scale == "logit":
        plotting.share_axis(axes)
    elif panel.scale == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _bound_likelihood(axes: Axes, lines: Sequence[Line], truth: float | None) -> None:
    """Set the lower limit of the likelihood axis to exclude untrained networks."""
    panel = PANELS[-1]
    curves = [_values(curve, panel) for line in lines for curve in line.curves]
    halves = [sorted(values)[len(values) // 2 :] for values in curves if values]
    if not halves:
        return
    low, high = min(half[0] for half in halves), max([half[-1] for half in halves] + [truth or -float("inf")])
    room = 0.06 * max(high - low, 1.0)
    axes.set_ylim(panel.factor * (low - room), panel.factor * (high + room))


def _legend(lines: Sequence[Line], colours: dict[str, str]) -> list[Artist]:
    from matplotlib.lines import Line2D

    entries: list[Artist] = []
    for line in lines:
        label = plotting.seeds_label(line.variant, len(line.curves), ", with labels" if line.labels else "")
        entries.append(Line2D([], [], color=colours[line.variant], linestyle=line.style, label=label))
    return [
        *entries,
        Line2D([], [], color=plotting.REFERENCE, linewidth=0.8, linestyle=":", label="true scenes"),
    ]
