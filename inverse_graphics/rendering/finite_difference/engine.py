"""A wrapper that makes any engine differentiable by finite differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.finite_difference.layers import LayerDifferences, LayerInputs, View
from inverse_graphics.rendering.finite_difference.steps import DifferenceSettings
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch


class DifferenceBackend(Protocol):
    """Renders layers and computes their gradients, in this process or in workers; see `LayerDifferences`."""

    def layers(self, view: View, inputs: LayerInputs) -> Layers:
        """Render layers."""

    def pull_back(
        self,
        view: View,
        inputs: LayerInputs,
        given: Layers,
        wanted: tuple[bool, ...],
        settings: DifferenceSettings,
    ) -> tuple[Tensor | None, ...]:
        """Compute gradients in `inputs`."""

    def close(self) -> None:
        """Release all resources."""


class FiniteDifference:
    """Wraps an engine: its layers, with gradients by central differences.

    The backward pass multiplies the Jacobian of the image by the gradient of its pixels, so any likelihood
    can be used. Differentiable in everything but K and `asset`: poses of objects and cameras, scales, tints
    and lights; directions of lights along the sphere. Differences are rendered only when gradients are
    requested: each layer twice for each of the three translations and three rotations of an object, and less
    often for other parameters. A difference depends on the image within `step_px` of an edge, on both sides,
    so edges should be supersampled.
    """

    differentiable = True

    def __init__(
        self,
        engine: RenderEngine,
        library: MeshLibrary,
        settings: DifferenceSettings | None = None,
        drawing: DifferenceBackend | None = None,
    ) -> None:
        """Wrap an engine.

        Args:
            engine: the engine to wrap.
            library: its meshes, whose sizes determine the steps of rotations.
            drawing: renders the differences; default in this process.
        """
        self.engine = engine
        self.library = library
        self.settings = settings or DifferenceSettings()
        self._drawing = drawing or LayerDifferences(engine, library.radius)

    @classmethod
    def with_workers(
        cls,
        engine: RenderEngine,
        library: MeshLibrary,
        workers: int,
        settings: DifferenceSettings | None = None,
    ) -> FiniteDifference:
        """Render with several worker processes, each with a copy of the engine; they start immediately.

        They end with `close`, with a `with` statement, with an error, with Ctrl-C, or with this process.

        Raises:
            EngineError: fewer than one worker.
        """
        from inverse_graphics.rendering.finite_difference.parallel import ParallelDifferences

        return cls(engine, library, settings, ParallelDifferences(engine, library.radius, workers))

    def __enter__(self) -> FiniteDifference:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker processes, if there are any."""
        self._drawing.close()

    @property
    def name(self) -> str:
        """The inner engine's name with the prefix Δ, such as "Δopen3d"."""
        return f"Δ{self.engine.name}"

    def with_step(self, step_px: float) -> FiniteDifference:
        """The same engine with another step; the backend is shared."""
        settings = replace(self.settings, step_px=step_px)
        return FiniteDifference(self.engine, self.library, settings, self._drawing)

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone; differentiable in all but `asset` and K.

        Raises:
            EngineError: K requires a gradient.
        """
        if camera.K.requires_grad:
            raise EngineError(
                "finite differences in the camera's K are not supported: detach it, or use another engine"
            )
        view = View(objects.asset, camera.K, camera.height, camera.width)
        inputs = LayerInputs.in_camera_frame(camera, objects, light)
        if not (torch.is_grad_enabled() and any(part.requires_grad for part in inputs)):
            return self._drawing.layers(view, inputs)
        return Layers(*_Draw.apply(self._drawing, view, self.settings, *inputs))  # type: ignore[no-untyped-call]


class _Draw(torch.autograd.Function):
    """Layers of inputs in the camera's frame, with their backward pass."""

    @staticmethod
    def forward(
        ctx: Any, drawing: DifferenceBackend, view: View, settings: DifferenceSettings, *inputs: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Render rgb, depth, alpha."""
        ctx.save_for_backward(*inputs)
        ctx.saved = (drawing, view, settings)
        rgb, depth, alpha = drawing.layers(view, LayerInputs(*(part.detach() for part in inputs)))
        return rgb, depth, alpha

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """Take differences in the inputs that require gradients."""
        drawing, view, settings = ctx.saved
        inputs = LayerInputs(*ctx.saved_tensors)
        wanted = ctx.needs_input_grad[3:]
        return None, None, None, *drawing.pull_back(view, inputs, Layers(*given), wanted, settings)
