"""What the cost of a picture depends on: one quantity is varied, all others are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from inverse_graphics.render.engines import DEFAULT_ENGINE, make_engine
from inverse_graphics.report.ball_scenes import ball_library, ball_scenes
from inverse_graphics.report.growth import Growth, growth
from inverse_graphics.report.render_benchmark import RenderRow, measured_row


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

    of: "forward" or "forward and backward".  microseconds_fixed, microseconds_each: a scene's cost as a line.
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
