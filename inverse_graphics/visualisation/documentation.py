"""Figures of the documentation.

docs/how/rendering.md: `draw_rendering_figures(Path("docs/rendering"))`. docs/how/engines.md:
`draw_engines(Path("docs/rendering/engines.png"))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.io.files import atomic_write
from inverse_graphics.packs.pack import load_library
from inverse_graphics.rendering.backdrop import table_and_background
from inverse_graphics.rendering.compositing import composite_prefixes
from inverse_graphics.rendering.engine import Layers
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, available_engines, make_engine
from inverse_graphics.rendering.rendered_scene import render as render_scene
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Scene
from inverse_graphics.scene.scene_file import load_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Floats = NDArray[np.float32]
CHECKS = (0.82, 0.92)
SIDE = 32


def draw_rendering_figures(folder: Path) -> None:
    """Write layers.png and gradient.png into a folder.

    Raises:
        StorageError: the folder cannot be written to.
    """
    strip(folder / "layers.png", *layers_and_prefixes())
    gradient_map(folder / "gradient.png")


def layers_and_prefixes(side: int = 120) -> tuple[list[Floats], list[Floats]]:
    """Render each object of a shipped scene alone, over a checkerboard, and the scene's prefixes."""
    scene = load_scene("breakfast")
    camera = scene.camera.resized(round(side * scene.camera.width_px / scene.camera.height_px), side)
    scene = scene.model_copy(update={"camera": camera})
    scene = scene.model_copy(update={"objects": scene.objects[:3]})
    layers, batch = _layers(scene)
    backdrop = table_and_background(batch.table, batch.background, batch.camera, batch.light)
    prefixes = [_pixels(image) for image in composite_prefixes(layers, backdrop)[0]]
    checks = _checks(side, camera.width_px)
    alone = [
        _pixels(rgb) + (1 - alpha.numpy()[..., None]) * checks
        for rgb, alpha in zip(layers.rgb[0], layers.alpha[0], strict=True)
    ]
    return alone, prefixes


def strip(file: Path, alone: Sequence[Floats], prefixes: Sequence[Floats]) -> None:
    """Draw the layers in one row, and below them the composites of the first 0, 1, … objects."""
    from matplotlib.figure import Figure

    height, width = prefixes[0].shape[:2]
    figure = Figure(figsize=(2.2 * len(prefixes), 4.9 * height / width + 0.1), layout="constrained")
    rows = figure.subplots(2, len(prefixes))
    for panel in rows.flat:
        panel.axis("off")
    for number, image in enumerate(alone, start=1):
        _show(rows[0, number], image, f"layer {number}")
    for number, image in enumerate(prefixes):
        _show(rows[1, number], image, "backdrop" if number == 0 else f"composite of {number}")
    with atomic_write(file) as opened:
        figure.savefig(opened, format="png", dpi=80)


def gradient_map(file: Path) -> None:
    """Draw a mug of 32 × 32 pixels, its alpha, and each pixel's derivative by the mug's position."""
    from matplotlib.figure import Figure

    image, alpha, slope, difference = mug_and_slopes()
    figure = Figure(figsize=(9.2, 2.6), layout="constrained")
    panels = figure.subplots(1, 4)
    _show(panels[0], image, "image")
    _show(panels[1], np.repeat(alpha[..., None], 3, axis=2), "alpha")
    largest = float(np.abs(difference).max())
    for panel, values, title in (
        (panels[2], slope, "gradient: brightness per pixel to the right"),
        (panels[3], difference, "finite difference, 64 samples per pixel"),
    ):
        panel.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        panel.set_title(title, fontsize=8)
        panel.axis("off")
    with atomic_write(file) as opened:
        figure.savefig(opened, format="png", dpi=90)


def mug_and_slopes(side: int = SIDE) -> tuple[Floats, Floats, Floats, Floats]:
    """Render a mug and differentiate each pixel's brightness with respect to the mug's position.

    Returns:
        image (side, side, 3), alpha, gradient and central difference of ± ½ pixel, each (side, side);
        derivatives are per pixel to the right.
    """
    scene = load_scene("single_mug")
    camera = scene.camera.resized(round(side * scene.camera.width_px / scene.camera.height_px), side)
    scene = scene.model_copy(update={"camera": camera, "objects": scene.objects[:1]})
    layers, batch = _layers(scene)
    right = batch.camera.T_world_camera[0, :3, 0]
    metres = float((batch.objects.position[0, 0] - batch.camera.T_world_camera[0, :3, 3]).norm())
    step = right * metres / float(batch.camera.K[0, 0, 0])
    return (
        _pixels(_image(batch, scene)[0]),
        layers.alpha[0, 0].numpy(),
        _slope(batch, scene, step),
        _difference(scene, step),
    )


def _slope(batch: SceneBatch, scene: Scene, step: Tensor) -> Floats:
    """Differentiate each pixel along one direction, by one scene per pixel: (H, W)."""
    height, width = batch.camera.height, batch.camera.width
    many = SceneBatch.from_scenes([scene] * width, load_library(item.asset for item in scene.objects))
    rows = []
    for row in range(height):
        amount = torch.zeros(width, requires_grad=True)
        objects = replace(many.objects, position=many.objects.position + amount[:, None, None] * step)
        image = _image(replace(many, objects=objects), scene).mean(dim=1)
        own = image[torch.arange(width), row, torch.arange(width)]
        rows.append(torch.autograd.grad(own.sum(), amount)[0])
    return torch.stack(rows).numpy()


def _difference(scene: Scene, step: Tensor, samples: int = 8) -> Floats:
    camera = scene.camera.resized(samples * scene.camera.width_px, samples * scene.camera.height_px)
    batch = _batch(scene.model_copy(update={"camera": camera}))
    images = []
    for sign in (0.5, -0.5):
        objects = replace(batch.objects, position=batch.objects.position + sign * step)
        images.append(torch.nn.functional.avg_pool2d(_image(replace(batch, objects=objects), scene), samples))
    return (images[0] - images[1])[0].mean(dim=0).numpy()


def _image(batch: SceneBatch, scene: Scene) -> Tensor:
    from inverse_graphics.rendering.rendering import render

    return render(
        batch, make_engine(DEFAULT_ENGINE, load_library(item.asset for item in scene.objects))
    ).image


def _layers(scene: Scene) -> tuple[Layers, SceneBatch]:
    batch = _batch(scene)
    engine = make_engine(DEFAULT_ENGINE, load_library(item.asset for item in scene.objects))
    return engine.layers(batch.objects, batch.camera, batch.light), batch


def _batch(scene: Scene) -> SceneBatch:
    return SceneBatch.from_scenes([scene], load_library(item.asset for item in scene.objects))


def _pixels(image: Tensor) -> Floats:
    return image.permute(1, 2, 0).clamp(0, 1).numpy()


def _checks(height: int, width: int, cell: int = 8) -> Floats:
    rows, columns = np.mgrid[:height, :width] // cell
    return np.where((rows + columns) % 2, *CHECKS)[..., None].astype(np.float32)


def _show(panel: Axes, image: Floats, title: str) -> None:
    panel.imshow(np.clip(image, 0, 1), interpolation="nearest")
    panel.set_title(title, fontsize=8)
    panel.axis("off")


SCENE = "breakfast"
SIDES = (256, 48)


def draw_engines(file: Path, engines: Sequence[str] | None = None) -> None:
    """Render one scene with each engine at two resolutions, and write them as one figure.

    Args:
        file: PNG to write.
        engines: names of engines; default all that are available here.

    Raises:
        EngineError: an engine is unknown or not available here.
        StorageError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    names = engines or [engine.name for engine in available_engines() if engine.works]
    figure = Figure(figsize=(2.6 * len(names), 5.5), layout="constrained")
    panels = figure.subplots(len(SIDES), len(names), squeeze=False)
    for row, side in zip(panels, SIDES, strict=True):
        for panel, name in zip(row, names, strict=True):
            panel.imshow(render_square(name, side), interpolation="nearest")
            panel.set_title(f"{name}, {side} × {side}", fontsize=9)
            panel.axis("off")
    with atomic_write(file) as opened:
        figure.savefig(opened, format="png", dpi=90)


def render_square(engine: str, side: int) -> NDArray[np.float32]:
    """Render the scene with an engine: (side, side, 3)."""
    return render_scene(SCENE, engine, size=(side, side)).image
