"""Learning curves: held-out metrics of the runs of a study at each evaluation, and medians over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from inverse_graphics.studies.records import csv_table, write_text
from inverse_graphics.studies.runs import StudyRun


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation of one run.

    Attributes:
        variant: name of the variant.
        seed: seed of the run.
        step: training steps so far.
        images: training images so far.
        seconds: training time so far, without evaluations.
        metrics: held-out figures.
    """

    variant: str
    seed: int
    step: int
    images: int
    seconds: float
    metrics: dict[str, float]


Axis = Callable[[CurvePoint], float]
"""The x axis of a plot."""
Curve = list[CurvePoint]


def learning_curve(run: StudyRun) -> Curve:
    """Read all evaluations of a run so far."""
    return [
        CurvePoint(
            run.variant.name,
            run.seed,
            row["step"],
            run.images(row["step"]),
            row["seconds"],
            row["held_out"],
        )
        for row in run.history()
    ]


def curves_by_variant(curves: Iterable[Curve]) -> dict[str, list[Curve]]:
    """Group curves by variant, in the order of the variants; empty curves are omitted."""
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        if curve:
            groups.setdefault(curve[0].variant, []).append(curve)
    return groups


def median_curve(curves: Sequence[Curve], x: Axis, metric: str) -> tuple[list[float], list[float]]:
    """Medians over seeds of a metric and of the x axis, at the steps common to all seeds."""
    by_step = [{point.step: point for point in curve if metric in point.metrics} for curve in curves]
    common = sorted(set.intersection(*(set(points) for points in by_step))) if by_step else []
    at = [[points[step] for points in by_step] for step in common]
    across = [median(map(x, points)) for points in at]
    return across, [median(point.metrics[metric] for point in points) for points in at]


def write_curves(curves: Sequence[Curve], file: Path) -> None:
    """Write all points as CSV, one column per metric.

    Raises:
        StorageError: the file cannot be written.
    """
    points = [point for curve in curves for point in curve]
    metrics = list(dict.fromkeys(name for point in points for name in point.metrics))
    head = ["variant", "seed", "step", "images", "seconds", *metrics]
    rows = [
        [p.variant, p.seed, p.step, p.images, p.seconds, *(p.metrics.get(name, "") for name in metrics)]
        for p in points
    ]
    write_text(file, csv_table(head, rows))
