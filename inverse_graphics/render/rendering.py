"""From scenes to pictures: the one call that most users need."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from inverse_graphics.render.backdrop import table_and_background
from inverse_graphics.render.compositing import compose
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.scene.batch import SceneBatch


class Rendering(NamedTuple):
    """Pictures of B scenes.

    image: (B, 3, H, W), linear colour in [0, 1] as long as albedo, ambient + diffuse light are.
    depth: (B, H, W), metres along the camera's z axis, +inf where only the background is seen.
    alpha: (B, H, W), the share of the pixel that any object covers, in [0, 1].
    instance_mask: (B, H, W) int64: slot of the object that is seen most, −1 the table, −2 the background.
    """

    image: Tensor
    depth: Tensor
    alpha: Tensor
    instance_mask: Tensor


def render(scene: SceneBatch, engine: RenderEngine) -> Rendering:
    """Draw scenes; differentiable in image, depth and alpha where the engine is."""
    layers = engine.layers(scene.objects, scene.camera, scene.light)
    backdrop = table_and_background(scene.table, scene.background, scene.camera, scene.light)
    drawn = compose(layers, backdrop)
    return Rendering(drawn.image, drawn.depth, drawn.alpha, drawn.mask)
