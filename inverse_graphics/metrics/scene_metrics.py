"""Metrics of inferred scenes; each figure has its denominator.

A metric is a function of a `SceneComparison` in the registry `METRICS`; one in a file of its own is added to
the registry's list of modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inverse_graphics.errors import SceneError
from inverse_graphics.geometry.transforms import angle_between
from inverse_graphics.io.registry import Registry
from inverse_graphics.metrics.figure import Figure
from inverse_graphics.metrics.object_errors import ObjectErrors, matched_slots
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.packs.symmetry import Symmetry


@dataclass(frozen=True)
class SceneMetrics:
    """Figures over a set of images.

    Attributes:
        figures: in the order of display.
        count_confusion: numbers of images by true count (row) and inferred count (column), from 0; square.
        match_distance_m: largest distance at which objects were matched.
    """

    figures: tuple[Figure, ...]
    count_confusion: tuple[tuple[int, ...], ...]
    match_distance_m: float

    def figure(self, name: str) -> Figure:
        """Look up a figure by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return {figure.name: figure for figure in self.figures}[name]

    def to_json(self) -> dict[str, Any]:
        """Every figure with its denominator, and the confusion matrix, as JSON values."""
        figures = {figure.name: figure.to_json() for figure in self.figures}
        confusion = [list(row) for row in self.count_confusion]
        return {
            "match_distance_m": self.match_distance_m,
            "figures": figures,
            "count_confusion_true_by_inferred": confusion,
        }

    def summary_lines(self) -> list[str]:
        """The figures as text, one per line, and the confusion matrix of counts."""
        width = max(len(str(max(map(max, self.count_confusion)))), len(str(len(self.count_confusion)))) + 2
        rows = [(str(true), *map(str, row)) for true, row in enumerate(self.count_confusion)]
        header = ("", *map(str, range(len(rows))))
        table = ["".join(cell.rjust(width) for cell in row) for row in (header, *rows)]
        matched = f"objects matched within {1000 * self.match_distance_m:g} mm"
        lines = [figure.line() for figure in self.figures]
        return [*lines, matched, "images by true count (rows) and inferred count (columns):", *table]

    def flat(self) -> dict[str, float]:
        """The values by name, for training logs, without figures whose denominator is 0."""
        return {figure.name: figure.value for figure in self.figures if figure.value is not None}


class SceneComparison(NamedTuple):
    """The input of metrics: B inferred scenes and the true ones.

    Attributes:
        predicted: in float64.
        truth: in float64.
        slots: (B, N) int64, the inferred object that matches each true one, −1 for none.
        errors: of the D true objects.
        orientable: the kinds whose orientation is observable, with their names.
        visible: (D,) bool, whether a true object is visible; None if that is not known.
        visible_width_m: width of the visible part of the table; None if relative errors are not wanted.
    """

    predicted: PredictedScenes
    truth: PredictedScenes
    slots: Tensor
    errors: ObjectErrors
    orientable: Mapping[int, str]
    visible: Tensor | None
    visible_width_m: float | None


METRICS: Registry[Callable[[SceneComparison], list[Figure]]] = Registry(
    "metric", "inverse_graphics.metrics.scene_metrics"
)
"""Metrics of scenes, each of which gives figures, in the order of display."""


def evaluate_scenes(
    predicted: PredictedScenes,
    truth: PredictedScenes,
    symmetries: Sequence[Symmetry],
    names: Sequence[str],
    match_distance_m: float = 0.1,
    visible: Tensor | None = None,
    visible_width_m: float | None = None,
) -> SceneMetrics:
    """Compare inferred scenes with true ones, image by image, modulo the order and the symmetries of objects.

    Args:
        predicted: inferred scenes.
        truth: true scenes of the same images.
        symmetries: of each kind that `asset` indexes.
        names: of each kind.
        match_distance_m: the largest distance at which an inferred object matches a true one.
        visible: (B, N), for each object of `truth` its number of visible pixels, or of those that determine
            its orientation; if given, figures over objects with at least one are added.
        visible_width_m: width of the visible part of the table; if given, position errors are also reported
            as a share of it.

    Raises:
        SceneError: different numbers of images, unknown kinds, or a pose that is not finite.

    """
    _check(predicted, truth, symmetries, names, visible)
    predicted, truth = predicted.to_float64(), truth.to_float64()
    slots = matched_slots(predicted, truth, match_distance_m)
    comparison = SceneComparison(
        predicted, truth, slots, ObjectErrors.measure(predicted, truth, slots, symmetries),
        {kind: name for kind, name in enumerate(names) if not symmetries[kind].spherical},
        None if visible is None else visible.cpu()[truth.asset >= 0] > 0, visible_width_m,
    )  # fmt: skip
    figures = tuple(figure for metric in METRICS.values() for figure in metric(comparison))
    return SceneMetrics(figures, _confusion(predicted.count, truth.count), match_distance_m)


def _check(
    predicted: PredictedScenes,
    truth: PredictedScenes,
    symmetries: Sequence[Symmetry],
    names: Sequence[str],
    visible: Tensor | None,
) -> None:
    if len(predicted.count) != len(truth.count):
        raise SceneError(
            f"got {len(predicted.count)} inferred scenes, expected {len(truth.count)}, as true ones"
        )
    if len(symmetries) != len(names):
        raise SceneError(f"got {len(symmetries)} symmetries, expected one for each of {len(names)} kinds")
    highest = max((int(s.asset.max()) for s in (predicted, truth) if s.asset.numel()), default=-1)
    if highest >= len(names):
        raise SceneError(f"asset: got kind {highest}, expected less than {len(names)}, the number of names")
    if visible is not None and visible.shape != truth.asset.shape:
        got, expected = tuple(visible.shape), tuple(truth.asset.shape)
        raise SceneError(f"visible: got shape {got}, expected {expected}, that of the true objects")


def _confusion(inferred: Tensor, true: Tensor) -> tuple[tuple[int, ...], ...]:
    """Numbers of images by true (row) and inferred (column) count."""
    size = int(torch.cat([inferred, true]).max()) + 1 if len(true) else 1
    cells = torch.bincount(true * size + inferred, minlength=size * size)
    return tuple(tuple(row) for row in cells.reshape(size, size).tolist())


@METRICS.register("counts")
def count_figures(comparison: SceneComparison) -> list[Figure]:
    """Count accuracy, over all images and over those of each true count."""
    true = comparison.truth.count
    right, name, label = comparison.predicted.count == true, "count_accuracy", "count right"
    by_count = [
        Figure.share(f"{name}/{n}", f"{label} where it is {n}", right[true == n], f"images of {n} objects")
        for n in sorted(set(true.tolist()))
    ]
    return [Figure.share(name, label, right, "images"), *by_count]


@METRICS.register("precision")
def precision(comparison: SceneComparison) -> list[Figure]:
    """The share of inferred objects that match a true one."""
    predicted, slots = comparison.predicted, comparison.slots
    image, slot = (slots >= 0).nonzero(as_tuple=True)
    real = torch.zeros_like(predicted.asset, dtype=torch.bool)
    real[image, slots[image, slot]] = True
    hit = real[predicted.asset >= 0]
    return [Figure.share("precision", "inferred objects that are there", hit, "inferred objects")]


@METRICS.register("objects")
def object_figures(comparison: SceneComparison) -> list[Figure]:
    """Recall, identity, position and rotation, over all true objects and over the visible ones."""
    errors, orientable, width = comparison.errors, comparison.orientable, comparison.visible_width_m
    figures = errors.figures(orientable, width_m=width)
    if comparison.visible is None:
        return figures
    return figures + errors.only(comparison.visible).figures(orientable, "visible ", width)


@METRICS.register("camera")
def camera_figures(comparison: SceneComparison) -> list[Figure]:
    """The angle between the optical axes, and the distance between the cameras."""
    first, second = comparison.predicted.T_world_camera, comparison.truth.T_world_camera
    angle = torch.rad2deg(angle_between(first[:, :3, 2], second[:, :3, 2]))
    distance = (first[:, :3, 3] - second[:, :3, 3]).norm(dim=-1)
    direction, position = "camera_direction_error_deg", "camera_position_error_m"
    return [
        *Figure.quantiles(direction, "camera direction error", angle, "deg", "images"),
        *Figure.quantiles(position, "camera position error", distance, "m", "images"),
    ]
