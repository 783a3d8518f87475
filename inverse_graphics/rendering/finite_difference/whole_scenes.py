"""Finite differences of whole images, for engines with effects between objects, such as shadows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.compositing import Composite
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.finite_difference.engine import FiniteDifference
from inverse_graphics.rendering.finite_difference.steps import (
    DifferenceSettings,
    PoseSteps,
    moved_cameras,
    rotated,
    rotation_gradient,
    tangents,
)
from inverse_graphics.rendering.rendering import SceneEngine
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch

Move = Callable[[float], "SceneInputs"]


class SceneInputs(NamedTuple):
    """The differentiable inputs of images; everything in the world's frame, see `SceneBatch`."""

    position: Tensor
    rotation: Tensor
    scale: Tensor
    tint: Tensor
    T_world_camera: Tensor
    direction: Tensor
    diffuse: Tensor
    ambient: Tensor
    table_colour: Tensor
    background: Tensor

    @classmethod
    def from_scenes(cls, scene: SceneBatch) -> SceneInputs:
        """Extract them from scenes."""
        objects, light = scene.objects, scene.light
        placed = (objects.position, objects.rotation, objects.scale, objects.tint)
        lit = (light.direction, light.diffuse, light.ambient)
        return cls(*placed, scene.camera.T_world_camera, *lit, scene.table.colour, scene.background)

    def put_into(self, scene: SceneBatch) -> SceneBatch:
        """Replace them in scenes."""
        placed = ObjectBatch(scene.objects.asset, self.position, self.rotation, self.scale, self.tint)
        return SceneBatch(
            objects=placed,
            camera=replace(scene.camera, T_world_camera=self.T_world_camera),
            light=LightBatch(self.direction, self.diffuse, self.ambient),
            table=replace(scene.table, colour=self.table_colour),
            background=self.background,
        )


class FiniteDifferenceOfScenes:
    """A `SceneEngine`'s images, with gradients by central differences.

    As `FiniteDifference`, but the image is rendered again for every object that moves: twelve times for the
    pose of each, and as often for the camera's. Not differentiable in K and in the table's size. `layers`
    are the inner engine's, each object alone, by `FiniteDifference`.

    Raises:
        EngineError: the engine does not render whole scenes.
    """

    differentiable = True

    def __init__(
        self, engine: RenderEngine, library: MeshLibrary, settings: DifferenceSettings | None = None
    ) -> None:
        if not isinstance(engine, SceneEngine):
            raise EngineError(f"engine '{engine.name}' renders layers only: use FiniteDifference(engine)")
        self.engine = engine
        self.library = library
        self.settings = settings or DifferenceSettings()
        self._scene_engine: SceneEngine = engine
        self._layers = FiniteDifference(engine, library, self.settings)

    @property
    def name(self) -> str:
        """The inner engine's name with the prefix Δ."""
        return f"Δ{self.engine.name}"

    def with_step(self, step_px: float) -> FiniteDifferenceOfScenes:
        """The same engine with another step."""
        return FiniteDifferenceOfScenes(self.engine, self.library, replace(self.settings, step_px=step_px))

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        """Render every object of every scene alone; differentiable as `FiniteDifference` is."""
        return self._layers.layers(objects, camera, light)

    def render_scene(self, scene: SceneBatch) -> Composite:
        """Render all objects over table and background.

        Raises:
            EngineError: K or the table's size requires a gradient.
        """
        if scene.camera.K.requires_grad or scene.table.size.requires_grad:
            raise EngineError(
                "finite differences in the camera's K or the table's size are not supported: detach them"
            )
        inputs = SceneInputs.from_scenes(scene)
        if not (torch.is_grad_enabled() and any(part.requires_grad for part in inputs)):
            with torch.no_grad():
                return self._scene_engine.render_scene(scene)
        radius = self.library.radius.to(inputs.scale)[scene.objects.asset] * inputs.scale.detach()
        drawing = (self._scene_engine, scene, radius, self.settings)
        return Composite(*_Draw.apply(*drawing, *inputs))  # type: ignore[no-untyped-call]


class _Draw(torch.autograd.Function):
    """Images of scenes, with their backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        engine: SceneEngine,
        scene: SceneBatch,
        radius: Tensor,
        settings: DifferenceSettings,
        *inputs: Tensor,
    ) -> tuple[Tensor, ...]:
        """Render image, alpha, depth, mask."""
        ctx.save_for_backward(*inputs)
        ctx.saved = (engine, scene, radius, settings)
        rendered = engine.render_scene(SceneInputs(*(part.detach() for part in inputs)).put_into(scene))
        ctx.mark_non_differentiable(rendered.mask)
        return tuple(rendered)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        """Take differences in the inputs that require gradients."""
        engine, scene, radius, settings = ctx.saved
        inputs = SceneInputs(*ctx.saved_tensors)
        slopes = _Slopes(engine, scene, radius, settings, inputs, Composite(*given))
        wanted = ctx.needs_input_grad[4:]
        taken = zip(_GRADIENTS, wanted, strict=True)
        return None, None, None, None, *(by(slopes) if needed else None for by, needed in taken)


class _Slopes:
    """One backward pass: the derivatives in each input, one after another."""

    def __init__(
        self,
        engine: SceneEngine,
        scene: SceneBatch,
        radius: Tensor,
        settings: DifferenceSettings,
        inputs: SceneInputs,
        given: Composite,
    ) -> None:
        self.inputs = inputs
        self.settings = settings
        self.there = scene.objects.asset >= 0
        self.focal = (scene.camera.K[:, 0, 0] * scene.camera.K[:, 1, 1]).sqrt()
        self.to_world = inputs.T_world_camera[:, :3, :3]
        from_eye = inputs.position - inputs.T_world_camera[:, None, :3, 3]
        self.steps = PoseSteps.from_pixels(from_eye @ self.to_world, radius, scene.camera.K, settings.step_px)
        self._engine = engine
        self._scene = scene
        self._given = given

    def by_scene(self, move: Move) -> Tensor:
        """The derivative of the loss with respect to a step of each scene, (B,)."""
        plus, minus = self._sides(move)
        nearer = plus.depth - minus.depth
        parts = (
            (self._given.image, plus.image - minus.image),
            (self._given.alpha, plus.alpha - minus.alpha),
            (self._given.depth, torch.where(nearer.isfinite(), nearer, 0.0)),
        )
        return sum((asked * change).flatten(1).sum(1) for asked, change in parts) / 2  # type: ignore[return-value]

    def by_channel(self, move: Move) -> Tensor:
        """The derivatives of the loss with respect to a step of each colour channel, (B, 3)."""
        plus, minus = self._sides(move)
        return (self._given.image * (plus.image - minus.image)).flatten(2).sum(-1) / 2

    def by_slot(self, change: Callable[[Tensor], SceneInputs], step: Tensor) -> Tensor:
        """Derivatives per unit of `step` (B, N), which is applied to one slot at a time, (B, N).

        Args:
            change: gives the inputs after steps (B, N).
        """
        found = torch.zeros_like(step)
        for slot in range(step.shape[1]):
            alone = torch.zeros_like(step)
            alone[:, slot] = torch.where(self.there[:, slot], step[:, slot], 0.0)
            if alone.any():
                found[:, slot] = self.by_scene(lambda side, one=alone: change(side * one))  # type: ignore[misc]
        return torch.where(step > 0, found / torch.where(step > 0, step, 1.0), 0.0)

    def across(self) -> Tensor:
        """Step of the camera, (B,), metres: as for objects, or for the world's origin if there are none."""
        metres = torch.where(self.there, self.steps.metres[..., 0], 0.0).sum(1)
        origin = self.settings.step_px * self.inputs.T_world_camera[:, :3, 3].norm(dim=1) / self.focal
        count = self.there.sum(1)
        return torch.where(count > 0, metres / count.clamp(min=1), origin)

    def _sides(self, move: Move) -> tuple[Composite, Composite]:
        plus, minus = (self._engine.render_scene(move(side).put_into(self._scene)) for side in (1.0, -1.0))
        return plus, minus


def _by_position(slopes: _Slopes) -> Tensor:
    inputs, steps = slopes.inputs, slopes.steps
    axes = steps.axes @ slopes.to_world.transpose(1, 2)[:, None]
    total = torch.zeros_like(inputs.position)
    for axis in range(3):
        way = axes[..., axis, :]

        def change(metres: Tensor, way: Tensor = way) -> SceneInputs:
            return inputs._replace(position=inputs.position + metres[..., None] * way)

        total += slopes.by_slot(change, steps.metres[..., axis])[..., None] * way
    return total


def _by_rotation(slopes: _Slopes) -> Tensor:
    inputs, found = slopes.inputs, []
    for axis in range(3):

        def change(radians: Tensor, about: int = axis) -> SceneInputs:
            return inputs._replace(rotation=rotated(inputs.rotation, about, radians))

        found.append(slopes.by_slot(change, slopes.steps.radians))
    return rotation_gradient(torch.stack(found, dim=-1), inputs.rotation)


def _by_scale(slopes: _Slopes) -> Tensor:
    inputs = slopes.inputs
    step = inputs.scale * slopes.steps.growth
    return slopes.by_slot(lambda more: inputs._replace(scale=inputs.scale + more), step)


def _by_tint(slopes: _Slopes) -> Tensor:
    inputs, step = slopes.inputs, slopes.settings.colour
    found = torch.zeros_like(inputs.tint)
    for slot in range(found.shape[1]):
        brighter = torch.zeros_like(inputs.tint)
        brighter[:, slot] = step

        def move(side: float, more: Tensor = brighter) -> SceneInputs:
            return inputs._replace(tint=inputs.tint + side * more)

        found[:, slot] = slopes.by_channel(move) / step
    return found


def _by_camera(slopes: _Slopes) -> Tensor:
    """Along and about the camera's own axes; ½ R [g]× is the shortest gradient by the rotation's entries."""
    inputs, metres = slopes.inputs, slopes.across()
    radians = slopes.settings.step_px / slopes.focal
    pose, found = inputs.T_world_camera, []
    for index in range(6):
        step = torch.zeros(len(pose), 6, dtype=pose.dtype, device=pose.device)
        step[:, index] = metres if index < 3 else radians

        def move(side: float, step: Tensor = step) -> SceneInputs:
            return inputs._replace(T_world_camera=moved_cameras(pose, side * step[:, :3], side * step[:, 3:]))

        found.append(slopes.by_scene(move) / step[:, index])
    moves, rotations = torch.stack(found[:3], dim=-1), torch.stack(found[3:], dim=-1)
    gradient = torch.zeros_like(pose)
    gradient[:, :3, 3] = (slopes.to_world @ moves[..., None])[..., 0]
    own = rotation_gradient(rotations, torch.eye(3, dtype=pose.dtype, device=pose.device))
    gradient[:, :3, :3] = slopes.to_world @ own
    return gradient


def _by_direction(slopes: _Slopes) -> Tensor:
    inputs, radians = slopes.inputs, torch.tensor(slopes.settings.light_radians)
    total = torch.zeros_like(inputs.direction)
    for way in tangents(inputs.direction).unbind(-2):

        def move(side: float, way: Tensor = way) -> SceneInputs:
            return inputs._replace(direction=inputs.direction * radians.cos() + side * radians.sin() * way)

        total += (slopes.by_scene(move) / radians.sin())[:, None] * way
    return total


def _by_colour(name: str) -> Callable[[_Slopes], Tensor]:
    def gradient(slopes: _Slopes) -> Tensor:
        inputs, step = slopes.inputs, slopes.settings.colour

        def move(side: float) -> SceneInputs:
            return inputs._replace(**{name: getattr(inputs, name) + side * step})

        return slopes.by_channel(move) / step

    return gradient


_GRADIENTS: tuple[Callable[[_Slopes], Tensor], ...] = (
    _by_position,
    _by_rotation,
    _by_scale,
    _by_tint,
    _by_camera,
    _by_direction,
    _by_colour("diffuse"),
    _by_colour("ambient"),
    _by_colour("table_colour"),
    _by_colour("background"),
)
"""In the order of `SceneInputs`."""


def with_gradients(
    engine: RenderEngine,
    library: MeshLibrary,
    workers: int = 0,
    settings: DifferenceSettings | None = None,
) -> RenderEngine:
    """Return the engine itself if it is differentiable, else a wrapper with finite differences.

    Args:
        engine: the engine; whole scenes are differentiated if it renders them.
        library: the engine's meshes.
        workers: worker processes that render layers; 0 to render in this process.
        settings: of finite differences.

    Raises:
        EngineError: a negative number of workers.

    """
    if engine.differentiable:
        return engine
    if isinstance(engine, SceneEngine):
        return FiniteDifferenceOfScenes(engine, library, settings)
    if workers:
        return FiniteDifference.with_workers(engine, library, workers, settings)
    return FiniteDifference(engine, library, settings)


def with_step(engine: RenderEngine, step_px: float) -> RenderEngine:
    """The same engine with another step of finite differences, or unchanged if it uses none."""
    if isinstance(engine, FiniteDifference | FiniteDifferenceOfScenes):
        return engine.with_step(step_px)
    return engine
