"""Where a residual network looked long: images, and below each the units that ran, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from inverse_graphics.models.residual.image_exam import ImageExam
from inverse_graphics.studies.thinking_plot import new_figure


def plot_computation(
    images: Tensor, exam: ImageExam, least: int, most: int, file: Path, shown: int = 12
) -> None:
    """Draw the first images and their computation maps, as PNG and SVG.

    images: (M, 1, S, S).  least, most: units of all blocks that run somewhere.  file: without suffix.

    Raises:
        StorageError: a file cannot be written.
    """
    shown = min(shown, len(images))
    with new_figure(file, 0.85 * shown + 0.9, 2.1) as figure:
        panels = figure.subplots(2, shown, squeeze=False)
        for column in range(shown):
            above, below = panels[:, column]
            above.imshow(images[column, 0].numpy(), cmap="gray", vmin=0, vmax=1)
            drawn = below.imshow(exam.maps[column].numpy(), cmap="magma", vmin=least, vmax=most)
            above.set_title(f"{exam.multiply_adds[column] / 1e6:.1f} M", fontsize=7)
            for axes in (above, below):
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
        figure.colorbar(drawn, ax=panels.ravel().tolist(), label="units", fraction=0.02, pad=0.01)
