"""Cost of rendering as a function of faces, objects and pixels, varied one at a time."""

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
    """A linear fit of costs, fixed + each · x.

    Attributes:
        fixed: intercept, seconds.
        each: slope, seconds per unit of x.
        deviation: largest relative deviation of a measured cost from the line.
        slope: log-log slope over the upper octaves of x: 1 for proportional cost, 0 for constant cost.
    """

    fixed: float
    each: float
    deviation: float
    slope: float


def growth(x: Sequence[float], seconds: Sequence[float]) -> Growth:
    """Fit a line with non-negative coefficients to relative errors, and the log-log slope at large x.

    Args:
        x: at least two positive values.
        seconds: cost at each x, positive.
    """
    from scipy.optimize import nnls

    values, cost = np.asarray(x, float), np.asarray(seconds, float)
    terms = np.stack([np.ones_like(values), values / values.max()], axis=1)
    (fixed, each), _ = nnls(terms / cost[:, None], np.ones_like(cost))
    deviation = float(np.abs((terms @ [fixed, each]) / cost - 1).max())
    return Growth(float(fixed), float(each / values.max()), deviation, _upper_slope(values, cost))


def _upper_slope(x: np.ndarray, cost: np.ndarray) -> float:
    """Log-log least-squares slope over x ≥ max x / 8, or over the two largest x."""
    order = np.argsort(x)
    upper = order[max(0, min(len(x) - 2, int((x < x.max() / 8).sum()))) :]
    return float(np.polyfit(np.log(x[upper]), np.log(cost[upper]), 1)[0])


@dataclass(frozen=True)
class SweepRow(RenderRow):
    """A measurement of a sweep.

    Attributes:
        varied: the quantity that the sweep varies, a key of `SWEEPS`.
        pixels: number of pixels of the image.
    """

    varied: str
    pixels: int


class Setting(NamedTuple):
    """Scenes of spheres.

    Attributes:
        faces: faces per sphere.
        objects: spheres per scene.
        covered: pixels covered by each sphere.
        side: side of the square image, pixels.
    """

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
"""Settings of each sweep, by the field of `SweepRow` that is varied."""


def benchmark_sweeps(
    varied: Sequence[str] = tuple(SWEEPS),
    engines: Sequence[str] = (DEFAULT_ENGINE,),
    batch: int = 8,
    device: str = "cpu",
    seconds: float = 2.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[SweepRow]:
    """Time engines on scenes of spheres over a table, varying one quantity at a time.

    Args:
        varied: keys of `SWEEPS`.
        engines: names of engines.
        batch: batch size.
        device: device of the scenes.
        seconds: time per measurement.
        progress: called with a line of text before each measurement.

    Raises:
        EngineError: an engine is unknown or not available here.
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
    """Growth of one engine's time per scene along one sweep; see `Growth`.

    Attributes:
        varied: the quantity that the sweep varies.
        engine: name of the engine.
        of: "forward" or "forward and backward".
        slope: log-log slope at large values.
        microseconds_fixed: intercept of the linear fit, per scene.
        microseconds_each: slope of the linear fit, per scene and unit of the quantity.
        largest_deviation: largest relative deviation from the fit.
    """

    varied: str
    engine: str
    of: str
    slope: float
    microseconds_fixed: float
    microseconds_each: float
    largest_deviation: float


def growth_rows(rows: Sequence[SweepRow]) -> Iterator[GrowthRow]:
    """Fit each engine's cost as a function of each sweep's quantity, without and with gradients."""
    for (varied, engine), group in groupby(rows, key=lambda row: (row.varied, row.engine)):
        sweep = list(group)
        for of, seconds in costs(sweep).items():
            fitted: Growth = growth(quantities(sweep), seconds)
            yield GrowthRow(
                varied, engine, of, fitted.slope, 1e6 * fitted.fixed, 1e6 * fitted.each, fitted.deviation
            )


def quantities(sweep: Sequence[SweepRow]) -> list[float]:
    """The measured value of the varied quantity in each row of a sweep."""
    return [float(getattr(row, row.varied)) for row in sweep]


def costs(sweep: Sequence[SweepRow]) -> dict[str, list[float]]:
    """Seconds per scene in each row: forward and, for engines with gradients, forward and backward."""
    found = {"forward": [1 / row.forward_scenes_per_second for row in sweep]}
    both = [row.forward_backward_scenes_per_second for row in sweep]
    if None not in both:
        found["forward and backward"] = [1 / rate for rate in both if rate is not None]
    return found


TITLES = {
    "faces": "faces per scene",
    "objects": "objects per scene",
    "covered": "pixels covered by the object",
    "pixels": "pixels of the image, same number covered",
}
COLOURS = {"embedded": "#1b6ca8", "pytorch3d": "#c8553d", "pytorch3d-native": "#7a8b3b"}
OTHERS = ("#6b4c9a", "#3f7f7f", "#8a6d3b")
STYLES = {"forward": "-", "forward and backward": "--"}
FORMATS = ("png", "svg", "pdf")


def check_plot_name(file: Path) -> str:
    """Get the image format from a file's suffix: png, svg or pdf.

    Raises:
        StorageError: the suffix is unknown.
        MissingExtraError: matplotlib is not installed.
    """
    require_extras("a plot", "plots")
    kind = file.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise StorageError(f"cannot draw {file.name}: expected a name ending in .png, .svg or .pdf")
    return kind


def plot_sweeps(rows: Sequence[SweepRow], file: Path) -> None:
    """Plot the sweeps in `rows` as a PNG, SVG or PDF file.

    Raises:
        StorageError: the suffix is unknown, or the file cannot be written.
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
        panels[0].set_ylabel("milliseconds per scene")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        metadata = {"Date": None} if kind == "svg" else None
        with atomic_write(file) as opened:
            figure.savefig(opened, format=kind, dpi=100, metadata=metadata)


def _draw(panel: Axes, sweep: Sequence[SweepRow]) -> None:
    """Draw one panel: a line per engine and direction, labelled with their log-log slopes."""
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
