"""The picture of docs/engines.md: `draw_engines(Path("docs/rendering/engines.png"))`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.files import atomic_write
from inverse_graphics.render.engines import available_engines
from inverse_graphics.report.rendered_scene import render_scene, with_size
from inverse_graphics.scene.scene_file import read_scene

SCENE = "breakfast"
SIDES = (256, 48)


def draw_engines(file: Path, engines: Sequence[str] | None = None) -> None:
    """Draw one scene by each engine, or by all that work here: large, and below small, its pixels seen.

    Raises:
        EngineError: an engine that is unknown or does not work here.
        StorageError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    names = engines or [engine.name for engine in available_engines() if engine.works]
    figure = Figure(figsize=(2.6 * len(names), 5.5), layout="constrained")
    panels = figure.subplots(len(SIDES), len(names), squeeze=False)
    for row, side in zip(panels, SIDES, strict=True):
        for panel, name in zip(row, names, strict=True):
            panel.imshow(pictured(name, side), interpolation="nearest")
            panel.set_title(f"{name}, {side} × {side}", fontsize=9)
            panel.axis("off")
    with atomic_write(file) as opened:
        figure.savefig(opened, format="png", dpi=90)


def pictured(engine: str, side: int) -> NDArray[np.float32]:
    """The scene as an engine draws it, (side, side, 3)."""
    return render_scene(with_size(read_scene(SCENE), side, side), SCENE, engine).picture
