"""Learning curves as a picture: a column for each figure, against images seen and against time.

Learning curves: what the runs of a study reached at each evaluation, and medians over seeds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

from inverse_graphics.io.files import atomic_write
from inverse_graphics.studies.runs import StudyRun

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation of one run.

    images: learnt from so far.  seconds: of training, evaluations not counted.  metrics: held-out figures.
    """

    variant: str
    seed: int
    step: int
    images: int
    seconds: float
    metrics: dict[str, float]


Axis = Callable[[CurvePoint], float]
Curve = list[CurvePoint]


def curve(trained: StudyRun) -> Curve:
    """All evaluations of a run so far."""
    return [
        CurvePoint(
            trained.variant.name,
            trained.seed,
            row["step"],
            trained.images(row["step"]),
            row["seconds"],
            row["held_out"],
        )
        for row in trained.history()
    ]


def median_curve(curves: Sequence[Curve], x: Axis, metric: str) -> tuple[list[float], list[float]]:
    """The medians over seeds of a metric and of what it is drawn against, where all seeds have come to."""
    by_step = [{point.step: point for point in one if metric in point.metrics} for one in curves]
    common = sorted(set.intersection(*(set(points) for points in by_step))) if by_step else []
    at = [[points[step] for points in by_step] for step in common]
    return [median(map(x, points)) for points in at], [
        median(p.metrics[metric] for p in points) for points in at
    ]


def write_curves(curves: Sequence[Curve], file: Path) -> None:
    """Write all points as CSV, a column for each metric.

    Raises:
        StorageError: the file cannot be written.
    """
    points = [point for one in curves for point in one]
    metrics = list(dict.fromkeys(name for point in points for name in point.metrics))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["variant", "seed", "step", "images", "seconds", *metrics])
    for p in points:
        known = [p.metrics.get(name, "") for name in metrics]
        table.writerow([p.variant, p.seed, p.step, p.images, p.seconds, *known])
    with atomic_write(file, "w") as opened:
        opened.write(text.getvalue())


COLOURS = {
    "sleep": "#1b6ca8",
    "wake_sleep": "#2a9d8f",
    "elbo": "#c8553d",
    "supervised/label": "#8a8a8a",
    "supervised/set": "#4a4a4a",
}
OTHERS = ("#6b4c9a", "#d4a017", "#7a8b3b", "#b5446e", "#3f7f7f", "#8a6d3b", "#e07a5f", "#5c7cfa")
SHARES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
TRUTH = "#333333"
FORMATS = ("png", "svg")


class Panel(NamedTuple):
    """One figure.  factor: from the metric's unit to the label's.  scale: of its axis."""

    metric: str
    label: str
    factor: float
    scale: str


PANELS = (
    Panel("count_accuracy", "count right", 1, "logit"),
    Panel("identity_of_all", "identity right, of all true objects", 1, "logit"),
    Panel("position_error_m_median", "median position error of objects found, mm", 1000, "log"),
    Panel("log_likelihood", "log-likelihood of an image, 1,000 nats", 1e-3, "linear"),
)


class Line(NamedTuple):
    """A variant's curves, one for each seed.  labels: whether it was told the labels."""

    variant: str
    labels: bool
    curves: list[Curve]

    @property
    def style(self) -> Literal["-", "--"]:
        """Dashed where labels were told."""
        return "--" if self.labels else "-"


def plot_curves(lines: Sequence[Line], folder: Path, images: int, truth: float | None = None) -> None:
    """Draw curves.png and curves.svg: medians over seeds as lines, seeds as thin ones, labels dashed.

    images: held-out images, the resolution of shares.  truth: mean log-likelihood of the true scenes, nats.

    Raises:
        StorageError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    colours = colours_of([line.variant for line in lines])
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": "curves", "svg.fonttype": "none"}):
        figure = Figure(figsize=(13, 5.6), layout="constrained")
        panels = figure.subplots(2, len(PANELS), sharey="col", sharex="row")
        for row, (x, label) in enumerate(_axes(lines)):
            for axes, panel in zip(panels[row], PANELS, strict=True):
                _draw(axes, panel, lines, x, colours, images)
                axes.set_xlabel(label)
        _finish(panels, lines, images, truth)
        key = _key(lines, colours)
        figure.legend(
            handles=key, loc="outside lower center", ncols=-(-len(key) // -(-len(key) // 6)), frameon=False
        )
        for kind in FORMATS:
            metadata = {"Date": None} if kind == "svg" else None
            with atomic_write(folder / f"curves.{kind}") as opened:
                figure.savefig(opened, format=kind, dpi=120, metadata=metadata)


def colours_of(variants: Sequence[str]) -> dict[str, str]:
    """A colour for each variant, those of the five objectives always the same."""
    others = cycle(OTHERS)
    return {variant: COLOURS.get(variant) or next(others) for variant in variants}


def _axes(lines: Sequence[Line]) -> list[tuple[Axis, str]]:
    """What figures are drawn against: images and time, in units of sensible size."""
    longest = max((p.seconds for line in lines for one in line.curves for p in one), default=0.0)
    unit, name = next(((unit, name) for unit, name in UNITS if longest > 2 * unit), UNITS[-1])
    return [
        (lambda p: p.images / 1000, "images seen, thousands"),
        (lambda p: p.seconds / unit, f"training time, {name}"),
    ]


def _draw(
    axes: Axes, panel: Panel, lines: Sequence[Line], x: Axis, colours: dict[str, str], images: int
) -> None:
    for line in lines:
        style, colour = line.style, colours[line.variant]
        for one in line.curves if len(line.curves) > 1 else []:
            known = [x(point) for point in one if panel.metric in point.metrics]
            values = _values(one, panel, images)
            axes.plot(known, values, style, color=colour, linewidth=0.7, alpha=0.45)
        across, middle = median_curve(line.curves, x, panel.metric)
        axes.plot(
            across,
            _shown(middle, panel, images),
            style,
            color=colour,
            linewidth=1.8,
            marker=".",
            markersize=4,
        )


def _values(one: Curve, panel: Panel, images: int) -> list[float]:
    return _shown([p.metrics[panel.metric] for p in one if panel.metric in p.metrics], panel, images)


def _shown(values: Sequence[float], panel: Panel, images: int) -> list[float]:
    """Values in the panel's unit; shares no nearer to 0 and 1 than so many images can tell."""
    scaled = [panel.factor * value for value in values]
    if panel.scale != "logit":
        return scaled
    nearest = 0.5 / images
    return [min(max(value, nearest), 1 - nearest) for value in scaled]


def _finish(
    panels: Sequence[Sequence[Axes]], lines: Sequence[Line], images: int, truth: float | None
) -> None:
    """Scales, ticks and bounds."""
    for row in panels:
        for axes, panel in zip(row, PANELS, strict=True):
            axes.set_xlim(left=0)
            axes.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            if any(_values(one, panel, images) for line in lines for one in line.curves):
                _scale(axes, panel)
            if panel.scale == "linear" and truth is not None:
                axes.axhline(panel.factor * truth, color=TRUTH, linewidth=0.8, linestyle=":")
    for axes, panel in zip(panels[0], PANELS, strict=True):
        axes.set_title(panel.label, fontsize=9)
        if panel.scale == "logit":
            shares = [value for line in lines for one in line.curves for value in _values(one, panel, images)]
            axes.set_ylim(max(0.8 * min(shares, default=0.1), 0.005), 1 - 0.4 / images)
    _bound_likelihood([row[-1] for row in panels], lines, truth)


def _scale(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.set_yscale(panel.scale)
    if panel.scale == "logit":
        axes.set_yticks(SHARES)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.yaxis.set_minor_locator(NullLocator())
    elif panel.scale == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _bound_likelihood(panels: Sequence[Axes], lines: Sequence[Line], truth: float | None) -> None:
    """Leave out how bad untrained networks are: the axis begins at the worst of the runs' better halves."""
    metric, factor = PANELS[-1].metric, PANELS[-1].factor
    curves = [
        [p.metrics[metric] for p in one if metric in p.metrics] for line in lines for one in line.curves
    ]
    halves = [sorted(one)[len(one) // 2 :] for one in curves if one]
    if not halves:
        return
    low, high = min(half[0] for half in halves), max([half[-1] for half in halves] + [truth or -float("inf")])
    room = 0.06 * max(high - low, 1.0)
    panels[0].set_ylim(factor * (low - room), factor * (high + room))


def _key(lines: Sequence[Line], colours: dict[str, str]) -> list[Artist]:
    from matplotlib.lines import Line2D

    entries: list[Artist] = []
    for line in lines:
        seeds = "1 seed" if len(line.curves) == 1 else f"{len(line.curves)} seeds"
        label = f"{line.variant} ({seeds}{', with labels' if line.labels else ''})"
        entries.append(Line2D([], [], color=colours[line.variant], linestyle=line.style, label=label))
    return [*entries, Line2D([], [], color=TRUTH, linewidth=0.8, linestyle=":", label="true scenes")]
