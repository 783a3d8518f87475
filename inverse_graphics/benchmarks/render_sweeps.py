"""The cost of rendering by faces, objects and pixels: one quantity is varied, the others are fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inverse_graphics.benchmarks.render import RenderRow, measured_row
from inverse_graphics.benchmarks.scenes import ball_library, ball_scenes
from inverse_graphics.errors import StorageError, require_extras
from inverse_graphics.io.files import atomic_write
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_engine

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Growth:
    """A straight line through measured costs, fixed + each · x, and how far from straight they are.

    Attributes:
        fixed: seconds.
        each: seconds.
        deviation: the largest relative distance of a measured cost from the line.
        slope: of the cost in a double logarithmic plot, over the upper octaves of x: 1 where it is
            proportional, 0 where it does not depend on x.
    """

    fixed: float
    each: float
    deviation: float
    slope: float


def growth(x: Sequence[float], seconds: Sequence[float]) -> Growth:
    """Fit a line with non-negative fixed part, each cost weighed by its own size, and the upper slope.

    Args:
        x: positive, at least two.
        seconds: positive, at least two.
    """
    from scipy.optimize import nnls

    at, cost = np.asarray(x, float), np.asarray(seconds, float)
    terms = np.stack([np.ones_like(at), at / at.max()], axis=1)
    (fixed, each), _ = nnls(terms / cost[:, None], np.ones_like(cost))
    deviation = float(np.abs((terms @ [fixed, each]) / cost - 1).max())
    return Growth(float(fixed), float(each / at.max()), deviation, _upper_slope(at, cost))


def _upper_slope(at: np.ndarray, cost: np.ndarray) -> float:
    """Least squares in logarithms over all x from an eighth of the largest on, two at least."""
    order = np.argsort(at)
    upper = order[max(0, min(len(at) - 2, int((at < at.max() / 8).sum()))) :]
    return float(np.polyfit(np.log(at[upper]), np.log(cost[upper]), 1)[0])


@dataclass(frozen=True)
class SweepRow(RenderRow):
    """One figure of a sweep; varied is the quantity that the sweep is about, and pixels the picture's."""

    varied: str
    pixels: int


class Setting(NamedTuple):
    """faces: of each ball.  covered: pixels of each ball.  side: of the square picture, pixels."""

    faces: int = 1000
    objects: int = 3
    covered: int = 400
    side: int = 64


FACES = (10, 30, 100, 300, 1000, 3000, 10_000, 50_000)
OBJECTS = (1, 2, 4, 8, 16)
COVERED = (64, 256, 1024, 4096, 16_384, 50_000)
SIDES = (32, 64, 128, 256, 512)

SWEEPS: dict[str, tuple[Setting, ...]] = {
    "faces": tuple(Setting(faces=faces, objects=1) for faces in FACES),
    "objects": tuple(Setting(objects=objects) for objects in OBJECTS),
    "covered": tuple(Setting(faces=300, objects=1, covered=covered, side=256) for covered in COVERED),
    "pixels": tuple(Setting(faces=300, objects=1, side=side) for side in SIDES),
}
"""By the name of the field of `SweepRow` that is varied."""


def benchmark_sweeps(
    varied: Sequence[str] = tuple(SWEEPS),
    engines: Sequence[str] = (DEFAULT_ENGINE,),
    batch: int = 8,
    device: str = "cpu",
    seconds: float = 2.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[SweepRow]:
    """Time engines along sweeps, named as in `SWEEPS`, on balls before a table.

    Raises:
        EngineError: an unknown engine, or one that does not work here.
    """
    for name in varied:
        for engine in engines:
            for setting in SWEEPS[name]:
                progress(f"{name}: {engine}, {', '.join(f'{k} {v:,}' for k, v in setting._asdict().items())}")
                yield _row(name, engine, setting, batch, device, seconds)


def _row(varied: str, engine: str, setting: Setting, batch: int, device: str, seconds: float) -> SweepRow:
    library = ball_library(setting.faces)
    side = setting.side
    scenes = ball_scenes(batch, side, side, setting.objects, setting.covered).to(device)
    row = measured_row(make_engine(engine, library), scenes, library, seconds)
    return SweepRow(**vars(row), varied=varied, pixels=side * side)


@dataclass(frozen=True)
class GrowthRow:
    """How the seconds a scene of one engine grow along one sweep; see `Growth`.

    Attributes:
        of: "forward" or "forward and backward".
        microseconds_fixed: a scene's cost as a line.
        microseconds_each: a scene's cost as a line.
    """

    varied: str
    engine: str
    of: str
    slope: float
    microseconds_fixed: float
    microseconds_each: float
    largest_deviation: float


def growth_rows(rows: Sequence[SweepRow]) -> Iterator[GrowthRow]:
    """Fit each engine's cost along each sweep, without and with gradients."""
    for (varied, engine), group in groupby(rows, key=lambda row: (row.varied, row.engine)):
        sweep = list(group)
        for of, seconds in costs(sweep).items():
            fitted: Growth = growth(quantities(sweep), seconds)
            yield GrowthRow(
                varied, engine, of, fitted.slope, 1e6 * fitted.fixed, 1e6 * fitted.each, fitted.deviation
            )


def quantities(sweep: Sequence[SweepRow]) -> list[float]:
    """Give the quantity that a sweep varies, as it was found in each row."""
    return [float(getattr(row, row.varied)) for row in sweep]


def costs(sweep: Sequence[SweepRow]) -> dict[str, list[float]]:
    """Give the seconds a scene in each row: forward and, where there are gradients, with backward."""
    found = {"forward": [1 / row.forward_scenes_per_second for row in sweep]}
    both = [row.forward_backward_scenes_per_second for row in sweep]
    if None not in both:
        found["forward and backward"] = [1 / rate for rate in both if rate is not None]
    return found


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
