"""A scene drawn for people and files: picture, depth and which object is where.

An inferred scene for people: its picture, and the outline of what is seen of each object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from contourpy import LineType, contour_generator
from numpy.typing import NDArray

from inverse_graphics.errors import EngineError
from inverse_graphics.inference.parse import Box
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import Pack, load_library
from inverse_graphics.render.backdrop import table_and_background
from inverse_graphics.render.compositing import composite, visible_shares
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.engines import DEFAULT_ENGINE, make_engine, with_samples
from inverse_graphics.render.pictures import render
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Camera, Scene

MOST_LAYER_PIXELS = 100_000_000
"""Objects times pixels that are drawn at once; more would need more than about 8 GB of memory."""


@dataclass(frozen=True)
class RenderedScene:
    """A scene as an engine draws it.

    picture: (H, W, 3) float32 in [0, 1].  depth: (H, W) float32, metres, infinite where nothing is.
    mask: (H, W), number of the object seen in each pixel, from 1; 0 where there is none.
    objects: their assets' names, in the order of the mask's numbers.
    """

    name: str
    picture: NDArray[np.float32]
    depth: NDArray[np.float32]
    mask: NDArray[np.integer]
    objects: tuple[str, ...]

    def visible_pixels(self) -> list[int]:
        """In how many pixels each object is seen."""
        return np.bincount(self.mask.ravel(), minlength=len(self.objects) + 1)[1:].tolist()

    def box(self, number: int) -> Box | None:
        """The smallest box, pixels, about what is seen of an object: x, y, width, height; None if nothing."""
        rows, columns = np.nonzero(self.mask == number)
        if not rows.size:
            return None
        left, top = int(columns.min()), int(rows.min())
        return (left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top)


def render_scene(
    scene: Scene,
    name: str,
    engine: str = DEFAULT_ENGINE,
    packs: Sequence[Pack] = (),
    supersample: int = 1,
) -> RenderedScene:
    """Draw one scene on the CPU.

    packs: one's own; shipped ones are found by name.  supersample: samples a pixel along each side, 1 for as
    many as the engine takes by itself.

    Raises:
        AssetError: an object's pack or mesh is missing or cannot be used.
        EngineError: the engine is unknown or does not work here, or the picture is too large for it.
    """
    pixels = scene.camera.width_px * scene.camera.height_px * len(scene.objects) * supersample**2
    if pixels > MOST_LAYER_PIXELS:
        came = f"{len(scene.objects)} objects at {scene.camera.width_px}x{scene.camera.height_px} pixels"
        came += f", {supersample}x{supersample} samples each," if supersample > 1 else ""
        raise EngineError(f"{came} are too much to draw at once: choose a smaller size")
    library = load_library((placed.asset for placed in scene.objects), packs)
    drawing = make_engine(engine, library)
    if supersample > 1:
        drawing = with_samples(drawing, supersample)
    with torch.inference_mode():
        drawn = render(SceneBatch.from_scenes([scene], library), drawing)
    return RenderedScene(
        name=name,
        picture=drawn.image[0].permute(1, 2, 0).clamp(0, 1).numpy(),
        depth=drawn.depth[0].numpy(),
        mask=(drawn.instance_mask[0] + 1).clamp(min=0).numpy(),
        objects=tuple(placed.asset for placed in scene.objects),
    )


def with_size(scene: Scene, width_px: int, height_px: int) -> Scene:
    """The same view in another number of pixels: its height stays, its sides are extended or cut."""
    camera = scene.camera
    scale = height_px / camera.height_px
    K = np.array(camera.K)
    K[:2] *= scale
    K[0, 2] += (width_px - camera.width_px * scale) / 2
    resized = Camera(
        width_px=width_px, height_px=height_px, K=K.tolist(), T_world_camera=camera.T_world_camera
    )
    return scene.model_copy(update={"camera": resized})


LARGEST_SIDE = 1600
"""Pixels; larger pictures are drawn as large as this, and their outlines scaled."""

Polyline = NDArray[np.float64]
"""(P, 2), x and y, pixels; closed, the last point being the first."""


@dataclass(frozen=True)
class DrawnScene:
    """A scene as it is seen.

    picture: (H, W, 3) float32 in [0, 1].  outlines: for each object the borders of what is seen of it, none
    where others hide it, in pixels of the size that was asked for.
    """

    picture: NDArray[np.float32]
    outlines: tuple[tuple[Polyline, ...], ...]


def draw_scene(scene: Scene, width: int, height: int) -> DrawnScene:
    """Draw what a scene's camera sees in `width` × `height` pixels, or in fewer, if these are very many.

    Raises:
        AssetError: an object is of no pack that ships.
    """
    factor = min(1.0, LARGEST_SIDE / max(width, height))
    camera = scene.camera.resized(max(1, round(width * factor)), max(1, round(height * factor)))
    library, engine = _engine(tuple(sorted({placed.asset for placed in scene.objects})))
    batch = SceneBatch.from_scenes([scene.model_copy(update={"camera": camera})], library)
    with torch.inference_mode():
        layers = engine.layers(batch.objects, batch.camera, batch.light)
        backdrop = table_and_background(batch.table, batch.background, batch.camera, batch.light)
        picture = composite(layers, backdrop)[0].permute(1, 2, 0).clamp(0, 1).numpy()
        shares = (visible_shares(layers)[0] * layers.alpha)[0].numpy()
    scale = np.array([width / camera.width_px, height / camera.height_px])
    return DrawnScene(picture, tuple(tuple(line * scale for line in outline(share)) for share in shares))


def outline(share: NDArray[np.floating]) -> list[Polyline]:
    """The lines along which an object covers half of a pixel, between pixels by linear interpolation.

    share: (H, W), of each pixel in which the object is seen; beyond the picture none is.
    """
    generator = contour_generator(z=np.pad(share, 1), line_type=LineType.Separate)
    return [line - 0.5 for line in cast("list[Polyline]", generator.lines(0.5))]


@lru_cache(maxsize=8)
def _engine(assets: tuple[str, ...]) -> tuple[MeshLibrary, RenderEngine]:
    library = load_library(assets)
    return library, make_engine(DEFAULT_ENGINE, library)
