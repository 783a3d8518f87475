"""Plots of a study of the 2D model: learning curves, confusion matrices of counts, and attention maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.models.air2d.inference import read_images
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.studies import plotting
from inverse_graphics.studies.curves import Axis, Curve, curves_by_variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

AXES: tuple[tuple[Axis, str], ...] = (
    (lambda point: point.step / 1000, "steps, thousands"),
    (lambda point: point.seconds / 60, "training time, minutes"),
)
ACCURACY = "count_accuracy"
LABELS = {ACCURACY: "correct counts", "elbo": "bound, nats"}
MATRICES_IN_A_ROW = 5
CELLS = 25
"""Number of rows and of columns of an attention map."""
BATCH_SIZE = 500

Matrix = Sequence[Sequence[int]]
"""Numbers of images by true count (row) and inferred count (column), from 0."""
Maps = NDArray[np.int64]
"""(N, CELLS, CELLS): number of objects inferred in each step at each position; rows from the top."""


def plot_counting(curves: Sequence[Curve], folder: Path, images: int) -> None:
    """Write curves.png and curves.svg: medians over seeds as thick lines, seeds as thin ones.

    Args:
        curves: learning curves of all runs.
        folder: output folder.
        images: number of held-out images, which bounds the resolution of shares.

    Raises:
        StorageError: a file cannot be written.

    """
    from matplotlib.lines import Line2D

    groups = curves_by_variant(curves)
    colours = plotting.colours_of(groups)
    metrics = [name for name in LABELS if any(name in p.metrics for curve in curves for p in curve)]
    with plotting.new_figure(folder / "curves", 8, 2.6 * len(metrics) + 0.5) as figure:
        grid = figure.subplots(len(metrics), len(AXES), squeeze=False, sharex="col", sharey="row")
        for row, metric in zip(grid, metrics, strict=True):
            shown = partial(plotting.resolvable_shares, images=images) if metric == ACCURACY else list
            for axes, (x, label) in zip(row, AXES, strict=True):
                for variant, seeds in groups.items():
                    plotting.draw_seeds(axes, seeds, x, metric, shown, colours[variant])
                axes.set_xlabel(label)
                axes.set_xlim(left=0)
                plotting.tidy(axes)
                if metric == ACCURACY:
                    plotting.share_axis(axes)
            row[0].set_ylabel(LABELS[metric])
        entries = [
            Line2D([], [], color=colours[variant], label=plotting.seeds_label(variant, len(seeds)))
            for variant, seeds in groups.items()
        ]
        plotting.legend_below(figure, entries, 4)


def pooled(matrices: Sequence[Matrix]) -> list[list[int]]:
    """Sum matrices, padded with zeros to the size of the largest."""
    size = max((len(matrix) for matrix in matrices), default=0)
    total = [[0] * size for _ in range(size)]
    for matrix in matrices:
        for true, row in enumerate(matrix):
            for inferred, number in enumerate(row):
                total[true][inferred] += number
    return total


def plot_confusions(matrices: Mapping[str, Matrix], file: Path) -> None:
    """Write a PNG of confusion matrices: shares of each true count as colours, with numbers of images.

    Args:
        matrices: one per variant.
        file: the file without suffix.

    Raises:
        StorageError: the file cannot be written.

    """
    columns = min(max(len(matrices), 1), MATRICES_IN_A_ROW)
    rows = -(-max(len(matrices), 1) // columns)
    with plotting.new_figure(file, 2.3 * columns + 0.4, 2.4 * rows + 0.2, ("png",)) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (name, matrix) in zip(panels, matrices.items(), strict=False):
            _draw_matrix(axes, name, matrix)
        for axes in panels[len(matrices) :]:
            axes.set_axis_off()


def scanning_maps(network: Air2D, images: torch.Tensor) -> Maps:
    """Count the centres of the inferred objects' windows on a grid, by step.

    Args:
        network: the model.
        images: (M, 1, H, W) in [0, 1].
    """
    size, steps = network.settings.image_size, network.max_objects
    maps = np.zeros((steps, CELLS, CELLS), np.int64)
    for block in torch.split(images, BATCH_SIZE):
        reading = read_images(network, block)
        centres = (reading.windows[..., :2] + reading.windows[..., 2:] / 2).numpy()
        cells = np.floor(centres / size * CELLS).clip(0, CELLS - 1).astype(int)
        found = np.arange(steps) < reading.counts.numpy()[:, None]
        for step in range(steps):
            x, y = cells[found[:, step], step].T
            np.add.at(maps[step], (y, x), 1)
    return maps


def plot_scanning(maps: Mapping[str, Maps], folder: Path) -> None:
    """Write scanning.png and .svg: a row of attention maps by step for each network.

    Raises:
        StorageError: a file cannot be written.
    """
    steps = max(len(of_one) for of_one in maps.values())
    blocks = min(4, -(-len(maps) // 5))
    rows = -(-len(maps) // blocks)
    size = ((1.5 * steps + 0.6) * blocks, 1.5 * rows + 0.4)
    with plotting.new_figure(folder / "scanning", *size, font_size=7) as figure:
        side_by_side: list[SubFigure] = list(figure.subfigures(1, blocks, squeeze=False)[0])
        cells = [block.subplots(rows, steps, squeeze=False) for block in side_by_side]
        panels = [row for block in cells for row in block]
        for row, (name, of_one) in zip(panels, maps.items(), strict=False):
            row[0].set_ylabel(name)
            for step, axes in enumerate(row):
                _draw_map(axes, of_one, step)
        for row in panels[len(maps) :]:
            for axes in row:
                axes.set_axis_off()
        for block in cells:
            for step, axes in enumerate(block[0]):
                axes.set_title(f"step {step + 1}\n{axes.get_title()}")


def _draw_matrix(axes: Axes, name: str, matrix: Matrix) -> None:
    shares = [[number / max(sum(row), 1) for number in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true, row in enumerate(matrix):
        for inferred, number in enumerate(row):
            colour = "white" if shares[true][inferred] > 0.5 else "black"
            axes.text(inferred, true, f"{number:,}", ha="center", va="center", color=colour)
    axes.set_title(name, fontsize=9)
    axes.set(xlabel="inferred count", ylabel="true count")
    axes.set_xticks(range(len(matrix)))
    axes.set_yticks(range(len(matrix)))


def _draw_map(axes: Axes, maps: Maps, step: int) -> None:
    plotting.without_axes(axes)
    if step < len(maps):
        axes.imshow(maps[step], cmap="magma", vmin=0, extent=(0, 1, 1, 0))
        axes.set_title(f"{int(maps[step].sum()):,} objects")
