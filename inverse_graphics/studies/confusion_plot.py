"""Confusion matrices of counts as a picture: one panel for each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inverse_graphics.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABREAST = 5
"""Most panels in a row."""

Matrix = Sequence[Sequence[int]]
"""Numbers of images: rows are true counts from 0, columns inferred ones."""


def pooled(matrices: Sequence[Matrix]) -> list[list[int]]:
    """The sum of matrices, as large as the largest of them."""
    size = max((len(matrix) for matrix in matrices), default=0)
    total = [[0] * size for _ in range(size)]
    for matrix in matrices:
        for true, row in enumerate(matrix):
            for inferred, number in enumerate(row):
                total[true][inferred] += number
    return total


def plot_confusions(matrices: Mapping[str, Matrix], file: Path) -> None:
    """Draw a PNG: shares of each true count as colours, numbers of images written over them.

    Raises:
        StorageError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    abreast = min(max(len(matrices), 1), ABREAST)
    down = -(-max(len(matrices), 1) // abreast)
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(2.3 * abreast + 0.4, 2.4 * down + 0.2), layout="constrained")
        panels = figure.subplots(down, abreast, squeeze=False).ravel()
        for axes, (name, matrix) in zip(panels, matrices.items(), strict=False):
            _draw_matrix(axes, name, matrix)
        for axes in panels[len(matrices) :]:
            axes.set_axis_off()
        with atomic_write(file) as opened:
            figure.savefig(opened, format="png", dpi=120)


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
