"""An inferred scene as an image, with the outline of the visible part of each object."""

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
"""Pixels; larger images are rendered at this size, and their outlines scaled."""

Polyline = NDArray[np.float64]
"""(P, 2), x and y in pixels; closed: the last point equals the first."""


@dataclass(frozen=True)
class DrawnScene:
    """A rendered scene.

    Attributes:
        image: (H, W, 3) float32 in [0, 1].
        outlines: for each object the contours of its visible part, empty if it is occluded, in pixels of the
            requested size.
    """

    image: NDArray[np.float32]
    outlines: tuple[tuple[Polyline, ...], ...]


def draw_scene(scene: Scene, width: int, height: int) -> DrawnScene:
    """Render a scene at `width` × `height` pixels, or at `LARGEST_SIDE` if that is smaller.

    Raises:
        AssetError: an object is not in a shipped pack.
    """
    factor = min(1.0, LARGEST_SIDE / max(width, height))
    camera = scene.camera.resized(max(1, round(width * factor)), max(1, round(height * factor)))
    library, engine = _engine(tuple(sorted({placed.asset for placed in scene.objects})))
    batch = SceneBatch.from_scenes([scene.model_copy(update={"camera": camera})], library)
    with torch.inference_mode():
        layers = engine.layers(batch.objects, batch.camera, batch.light)
        backdrop = table_and_background(batch.table, batch.background, batch.camera, batch.light)
        image = composite(layers, backdrop)[0].permute(1, 2, 0).clamp(0, 1).numpy()
        shares = (visible_shares(layers)[0] * layers.alpha)[0].numpy()
    scale = np.array([width / camera.width_px, height / camera.height_px])
    return DrawnScene(image, tuple(tuple(line * scale for line in outline(share)) for share in shares))


def outline(share: NDArray[np.floating]) -> list[Polyline]:
    """Trace the contours at which an object covers half a pixel, by linear interpolation between pixels.

    Args:
        share: (H, W), visible share of the object in each pixel; zero outside the image.
    """
    generator = contour_generator(z=np.pad(share, 1), line_type=LineType.Separate)
    return [line - 0.5 for line in cast("list[Polyline]", generator.lines(0.5))]


@lru_cache(maxsize=8)
def _engine(assets: tuple[str, ...]) -> tuple[MeshLibrary, RenderEngine]:
    library = load_library(assets)
    return library, make_engine(DEFAULT_ENGINE, library)
