"""An inferred scene for people: its picture, and the outline of the visible part of each object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import torch
from contourpy import LineType, contour_generator
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import load_library
from inverse_graphics.rendering.backdrop import table_and_background
from inverse_graphics.rendering.compositing import composite, visible_shares
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_engine
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Scene

LARGEST_SIDE = 1600
"""Pixels; larger pictures are drawn at this size, and their outlines scaled."""

Polyline = NDArray[np.float64]
"""(P, 2), x and y, pixels; closed, the last point being the first."""


@dataclass(frozen=True)
class DrawnScene:
    """A scene as its camera sees it.

    Attributes:
        picture: (H, W, 3) float32 in [0, 1].
        outlines: for each object the borders of its visible part, none if others hide it, in pixels of the
            size that was asked for.
    """

    picture: NDArray[np.float32]
    outlines: tuple[tuple[Polyline, ...], ...]


def draw_scene(scene: Scene, width: int, height: int) -> DrawnScene:
    """Draw a scene in `width` × `height` pixels, or in fewer if these are very many.

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

    Args:
        share: (H, W), of each pixel in which the object is visible; beyond the picture it is not.
    """
    generator = contour_generator(z=np.pad(share, 1), line_type=LineType.Separate)
    return [line - 0.5 for line in cast("list[Polyline]", generator.lines(0.5))]


@lru_cache(maxsize=8)
def _engine(assets: tuple[str, ...]) -> tuple[MeshLibrary, RenderEngine]:
    library = load_library(assets)
    return library, make_engine(DEFAULT_ENGINE, library)
