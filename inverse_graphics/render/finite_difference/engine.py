"""Any engine, made differentiable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.engine import Layers, RenderEngine
from inverse_graphics.render.finite_difference.layers import LayerDifferences, LayerInputs, View
from inverse_graphics.render.finite_difference.steps import DifferenceSettings
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch


class DrawsDifferences(Protocol):
    """Draws layers and differentiates them, here or elsewhere: see `LayerDifferences`."""

    def layers(self, view: View, inputs: LayerInputs) -> Layers:
        """Draw."""

    def pull_back(
        self,
        view: View,
        inputs: LayerInputs,
        given: Layers,
        wanted: tuple[bool, ...],
        settings: DifferenceSettings,
    ) -> tuple[Tensor | None, ...]:
        """Gradients by `inputs`."""

    def close(self) -> None:
        """Give back whatever draws."""


class FiniteDifference:
    """Another engine's layers, with gradients by central differences.

    What is returned is the Jacobian of the picture as a product with what is asked of its pixels, so any
    likelihood will do. Differentiable in everything but K and `asset`: poses of objects and cameras, scales,
    tints and lights; directions of lights along the sphere. Nothing more is drawn until gradients are asked
    for; then each layer two times for each of the three places and turns of an object, and less often for the
    rest. A difference sees what happens within `step_px` to either side; edges should be supersampled.
    """

    differentiable = True

    def __init__(
        self,
        engine: RenderEngine,
        library: MeshLibrary,
        settings: DifferenceSettings | None = None,
        drawing: DrawsDifferences | None = None,
    ) -> None:
        """library: the engine's meshes, whose sizes are needed.  drawing: who draws, if not this process."""
        self.engine = engine
        self.library = library
        self.settings = settings or DifferenceSettings()
        self._drawing = drawing or LayerDifferences(engine, library.radius)

    @classmethod
    def by_workers(
        cls,
        engine: RenderEngine,
        library: MeshLibrary,
        workers: int,
        settings: DifferenceSettings | None = None,
    ) -> FiniteDifference:
        """Let so many processes draw, of which each makes an engine like this one; they start at once.

        They end with `close`, with a `with` statement, with an error, with Ctrl-C, or with this process.

        Raises:
            EngineError: fewer than one worker.
        """
        from inverse_graphics.render.finite_difference.parallel import ParallelDifferences

        return cls(engine, library, settings, ParallelDifferences(engine, library.radius, workers))

    def __enter__(self) -> FiniteDifference:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that draw, if there are any."""
        self._drawing.close()

    @property
    def name(self) -> str:
        """The inner engine's name after a Δ, such as "Δopen3d"."""
        return f"Δ{self.engine.name}"

    def with_step(self, step_px: float) -> FiniteDifference:
        """The same, with differences of another length; whoever draws is shared."""
        settings = replace(self.settings, step_px=step_px)
        return FiniteDifference(self.engine, self.library, settings, self._drawing)

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Draw every object of every scene alone; differentiable in all but `asset` and K.

        Raises:
            EngineError: K asks for a gradient.
        """
        if camera.K.requires_grad:
            raise EngineError("no differences are taken by the camera's K: detach it, or use another engine")
        view = View(objects.asset, camera.K, camera.height, camera.width)
        inputs = LayerInputs.seen_from(camera, objects, light)
        if not (torch.is_grad_enabled() and any(part.requires_grad for part in inputs)):
            return self._drawing.layers(view, inputs)
        return Layers(*_Draw.apply(self._drawing, view, self.settings, *inputs))  # type: ignore[no-untyped-call]


class _Draw(torch.autograd.Function):
    """Layers of inputs in the camera's frame, with their way back."""

    @staticmethod
    def forward(
        ctx: Any, drawing: DrawsDifferences, view: View, settings: DifferenceSettings, *inputs: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw: rgb, depth, alpha."""
        ctx.save_for_backward(*inputs)
        ctx.kept = (drawing, view, settings)
        rgb, depth, alpha = drawing.layers(view, LayerInputs(*(part.detach() for part in inputs)))
        return rgb, depth, alpha

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """Take differences along what is asked for."""
        drawing, view, settings = ctx.kept
        inputs = LayerInputs(*ctx.saved_tensors)
        wanted = ctx.needs_input_grad[3:]
        return None, None, None, *drawing.pull_back(view, inputs, Layers(*given), wanted, settings)
