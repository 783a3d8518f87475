"""Where each step looks: how often its windows' centres fell where, over held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.io.files import atomic_write
from inverse_graphics.models.air2d.inference import read_images
from inverse_graphics.models.air2d.network import Air2D

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

CELLS = 25
"""Rows and columns of a map."""
BLOCK = 500
FORMATS = ("png", "svg")

Maps = NDArray[np.int64]
"""(N, CELLS, CELLS): of each step, how many objects were found where; rows from the top."""


def scanning_maps(network: Air2D, images: torch.Tensor) -> Maps:
    """Count the centres of the windows of all objects found, by step.  images: (M, 1, H, W) in [0, 1]."""
    size, steps = network.settings.image_size, network.max_objects
    maps = np.zeros((steps, CELLS, CELLS), np.int64)
    for block in torch.split(images, BLOCK):
        reading = read_images(network, block)
        centres = (reading.windows[..., :2] + reading.windows[..., 2:] / 2).numpy()
        cells = np.floor(centres / size * CELLS).clip(0, CELLS - 1).astype(int)
        found = np.arange(steps) < reading.counts.numpy()[:, None]
        for step in range(steps):
            x, y = cells[found[:, step], step].T
            np.add.at(maps[step], (y, x), 1)
    return maps


def plot_scanning(maps: Mapping[str, Maps], folder: Path) -> None:
    """Draw scanning.png and .svg: for each network a row of its steps; many of them lie side by side.

    Raises:
        StorageError: a file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    steps = max(len(of_one) for of_one in maps.values())
    blocks = min(4, -(-len(maps) // 5))
    rows = -(-len(maps) // blocks)
    with mpl.rc_context({"font.size": 7, "svg.hashsalt": "scanning", "svg.fonttype": "none"}):
        figure = Figure(figsize=((1.5 * steps + 0.6) * blocks, 1.5 * rows + 0.4), layout="constrained")
        side_by_side: list[SubFigure] = list(figure.subfigures(1, blocks, squeeze=False)[0])
        cells = [block.subplots(rows, steps, squeeze=False) for block in side_by_side]
        panels = [row for block in cells for row in block]
        for row, (name, of_one) in zip(panels, maps.items(), strict=False):
            row[0].set_ylabel(name)
            for step, axes in enumerate(row):
                _draw(axes, of_one, step)
        for row in panels[len(maps) :]:
            for axes in row:
                axes.set_axis_off()
        for block in cells:
            for step, axes in enumerate(block[0]):
                axes.set_title(f"step {step + 1}\n{axes.get_title()}")
        for kind in FORMATS:
            metadata = {"Date": None} if kind == "svg" else None
            with atomic_write(folder / f"scanning.{kind}") as opened:
                figure.savefig(opened, format=kind, dpi=120, metadata=metadata)


def _draw(axes: Axes, maps: Maps, step: int) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    if step < len(maps):
        axes.imshow(maps[step], cmap="magma", vmin=0, extent=(0, 1, 1, 0))
        axes.set_title(f"{int(maps[step].sum()):,} objects")
