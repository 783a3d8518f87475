"""Learning curves: what the runs of a study reached at each evaluation, and medians over seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from inverse_graphics.files import atomic_write
from inverse_graphics.studies.study_run import StudyRun


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
