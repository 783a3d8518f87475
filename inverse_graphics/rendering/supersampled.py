"""Supersampling of any render engine: parts thinner than a pixel become visible, and have a gradient."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch

MOST = 16
MIN_WEIGHT = 1e-6  # the weight in depth of a sub-pixel that an object touches without covering it


class Supersampled:
    """Renders with another engine at `factor` times as many rows and columns, and averages.

    Colour (times alpha) and alpha are plain means, so the area of an object is preserved. Depth is the mean
    over the sub-pixels that have one, weighted by their alpha; +inf where none has. Gradients, device and
    dtype are those of the inner engine. Time and memory grow by up to `factor`² per covered pixel, not per
    face.
    """

    def __init__(self, engine: RenderEngine, factor: int) -> None:
        if not 1 <= factor <= MOST:
            raise EngineError(f"supersampling by {factor}: expected a whole number from 1 to {MOST}")
        self.engine = engine
        self.factor = factor

    @property
    def name(self) -> str:
        """The inner engine's name and the factor, such as "embedded×2"."""
        return f"{self.engine.name}×{self.factor}"

    @property
    def differentiable(self) -> bool:
        """Whether the inner engine is differentiable."""
        return self.engine.differentiable

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone, unoccluded by the others."""
        fine = self.engine.layers(objects, enlarged(camera, self.factor), light)
        return fine if self.factor == 1 else averaged(fine, self.factor)


def enlarged(camera: CameraBatch, factor: int) -> CameraBatch:
    """Scale a camera to `factor` times as many rows and columns; differentiable in K."""
    factors = camera.K.new_tensor([factor, factor, 1])[:, None]
    return replace(camera, K=camera.K * factors, height=camera.height * factor, width=camera.width * factor)


def averaged(layers: Layers, factor: int) -> Layers:
    """Average squares of `factor` × `factor` pixels of layers, as described in `Supersampled`."""
    seen = layers.depth.isfinite()
    weight = torch.where(seen, layers.alpha + MIN_WEIGHT, 0.0)
    total = _mean(weight, factor)
    known = total > 0
    depth = _mean(weight * torch.where(seen, layers.depth, 0.0), factor) / torch.where(known, total, 1.0)
    rgb, alpha = _mean(layers.rgb, factor), _mean(layers.alpha, factor)
    return Layers(rgb, torch.where(known, depth, torch.inf), alpha)


def _mean(values: Tensor, factor: int) -> Tensor:
    """Means over squares of the last two dimensions."""
    height, width = values.shape[-2] // factor, values.shape[-1] // factor
    squares = values.reshape(*values.shape[:-2], height, factor, width, factor)
    return squares.mean(dim=(-3, -1))
