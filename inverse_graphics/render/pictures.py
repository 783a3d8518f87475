"""From scenes to pictures: the one call that most users need."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from inverse_graphics.render.compositing import Composite, picture_of_layers
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


@runtime_checkable
class SceneEngine(Protocol):
    """An engine that draws whole scenes by itself, faster than layer by layer, with the same result."""

    def picture(self, scene: SceneBatch) -> Composite:
        """Draw all objects over table and background."""


def render(scene: SceneBatch, engine: RenderEngine) -> Rendering:
    """Draw scenes; differentiable in image, depth and alpha where the engine is."""
    whole = getattr(engine, "picture", None)  # a `SceneEngine`: asking that takes 20 µs, as long as a stage
    drawn: Composite = whole(scene) if whole else picture_of_layers(scene, engine)
    return Rendering(drawn.image, drawn.depth, drawn.alpha, drawn.mask)
