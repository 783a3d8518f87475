"""Layers and their gradients by central differences, with all inputs in the camera's frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.finite_difference.steps import (
    DifferenceSettings,
    PoseSteps,
    rotated,
    rotation_gradient,
    tangents,
)
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch


class LayerInputs(NamedTuple):
    """The differentiable inputs of layers; everything in the camera's frame.

    Attributes:
        position: (B, N, 3), metres.
        rotation: (B, N, 3, 3), camera from object.
        scale: (B, N).
        tint: (B, N, 3).
        direction: (B, 3), unit, towards the light.
        diffuse: (B, 3).
        ambient: (B, 3).
    """

    position: Tensor
    rotation: Tensor
    scale: Tensor
    tint: Tensor
    direction: Tensor
    diffuse: Tensor
    ambient: Tensor

    @classmethod
    def in_camera_frame(cls, camera: CameraBatch, objects: ObjectBatch, light: LightBatch) -> LayerInputs:
        """Transform the world to the camera's frame; differentiable in all poses."""
        rotation, eye = camera.T_world_camera[:, :3, :3], camera.T_world_camera[:, None, :3, 3]
        return cls(
            position=(objects.position - eye) @ rotation,
            rotation=rotation.transpose(1, 2)[:, None] @ objects.rotation,
            scale=objects.scale,
            tint=objects.tint,
            direction=(light.direction[:, None] @ rotation)[:, 0],
            diffuse=light.diffuse,
            ambient=light.ambient,
        )


@dataclass(frozen=True)
class View:
    """The inputs of layers that are not differentiable.

    Attributes:
        asset: (B, N).
        K: (B, 3, 3), pixels.
        height: pixels.
        width: pixels.
    """

    asset: Tensor
    K: Tensor
    height: int
    width: int

    def arguments(self, inputs: LayerInputs) -> tuple[ObjectBatch, CameraBatch, LightBatch]:
        """The arguments for an engine, with the camera's frame as the world frame."""
        pose = torch.eye(4, dtype=self.K.dtype, device=self.K.device).expand(len(self.K), 4, 4)
        return (
            ObjectBatch(self.asset, inputs.position, inputs.rotation, inputs.scale, inputs.tint),
            CameraBatch(self.K, pose, self.height, self.width),
            LightBatch(inputs.direction, inputs.diffuse, inputs.ambient),
        )

    def part(self, scenes: slice) -> View:
        """Some of the B scenes, copied: pickling a slice of a tensor pickles its whole storage."""
        return View(self.asset[scenes].clone(), self.K[scenes].clone(), self.height, self.width)


Move = Callable[[float], LayerInputs]
"""Inputs moved by a whole step forward (1) or backward (−1)."""


class LayerDifferences:
    """Renders layers with an engine, and computes their gradients.

    Each object is rendered alone, so one perturbed image serves all objects of a scene, and no object is
    rendered again because another one moves: 12 renderings of a layer give the derivatives of its whole
    pose. Both sides of a difference are separate calls, of the same scenes in the same order, so that an
    engine with random samples uses the same numbers in both if it samples them in each call.
    """

    def __init__(self, engine: RenderEngine, radius: Tensor) -> None:
        self.engine = engine
        self._radius = radius

    def layers(self, view: View, inputs: LayerInputs) -> Layers:
        """Render layers."""
        with torch.no_grad():
            return self.engine.layers(*view.arguments(inputs))

    @torch.no_grad()
    def pull_back(
        self,
        view: View,
        inputs: LayerInputs,
        given: Layers,
        wanted: Sequence[bool],
        settings: DifferenceSettings,
    ) -> tuple[Tensor | None, ...]:
        """Compute gradients in `inputs`, only the `wanted` ones.

        Args:
            view: of the layers.
            inputs: of the layers.
            given: gradient with respect to each pixel of the layers.
        """
        slopes = _Slopes(self, view, inputs, given, settings)
        taken = zip(_GRADIENTS, wanted, strict=True)
        return tuple(gradient(slopes) if needed else None for gradient, needed in taken)

    def close(self) -> None:
        """Do nothing: there are no resources to release."""

    def steps(self, view: View, inputs: LayerInputs, step_px: float) -> PoseSteps:
        """Steps of all slots, empty ones included."""
        radius = self._radius.to(inputs.scale)[view.asset] * inputs.scale
        return PoseSteps.from_pixels(inputs.position, radius, view.K, step_px)


class _Slopes:
    """One backward pass: the derivatives in each input, one after another."""

    def __init__(
        self,
        drawing: LayerDifferences,
        view: View,
        inputs: LayerInputs,
        given: Layers,
        settings: DifferenceSettings,
    ) -> None:
        self.inputs = inputs
        self.settings = settings
        self.steps = drawing.steps(view, inputs, settings.step_px)
        self._drawing = drawing
        self._view = view
        self._given = given
        self._depth_counts = bool(given.depth.any())

    def by_layer(self, move: Move) -> Tensor:
        """The derivative of the loss with respect to a step of each layer, (B, N)."""
        plus, minus = self._sides(move)
        asked = _product(self._given.rgb, plus.rgb - minus.rgb) + _product(
            self._given.alpha, plus.alpha - minus.alpha
        )
        if not self._depth_counts:
            return asked / 2
        nearer = plus.depth - minus.depth
        return (asked + _product(self._given.depth, torch.where(nearer.isfinite(), nearer, 0.0))) / 2

    def by_channel(self, move: Move) -> Tensor:
        """The derivatives of the loss with respect to a step of each colour channel, (B, N, 3)."""
        plus, minus = self._sides(move)
        return (self._given.rgb * (plus.rgb - minus.rgb)).flatten(3).sum(-1) / 2

    def _sides(self, move: Move) -> tuple[Layers, Layers]:
        plus, minus = (self._drawing.layers(self._view, move(side)) for side in (1.0, -1.0))
        return plus, minus


def _product(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).flatten(2).sum(-1)


def _by_position(slopes: _Slopes) -> Tensor:
    inputs, steps = slopes.inputs, slopes.steps
    total = torch.zeros_like(inputs.position)
    for axis in range(3):
        way, metres = steps.axes[..., axis, :], steps.metres[..., axis, None]

        def move(side: float, along: Tensor = way * metres) -> LayerInputs:
            return inputs._replace(position=inputs.position + side * along)

        total += slopes.by_layer(move)[..., None] / metres * way
    return total


def _by_rotation(slopes: _Slopes) -> Tensor:
    inputs, radians = slopes.inputs, slopes.steps.radians
    found = []
    for axis in range(3):

        def move(side: float, about: int = axis) -> LayerInputs:
            return inputs._replace(rotation=rotated(inputs.rotation, about, side * radians))

        found.append(slopes.by_layer(move) / radians)
    return rotation_gradient(torch.stack(found, dim=-1), inputs.rotation)


def _by_scale(slopes: _Slopes) -> Tensor:
    inputs, step = slopes.inputs, slopes.inputs.scale * slopes.steps.growth
    found = slopes.by_layer(lambda side: inputs._replace(scale=inputs.scale + side * step))
    return torch.where(step > 0, found / torch.where(step > 0, step, 1.0), 0.0)


def _by_tint(slopes: _Slopes) -> Tensor:
    inputs, step = slopes.inputs, slopes.settings.colour
    return slopes.by_channel(lambda side: inputs._replace(tint=inputs.tint + side * step)) / step


def _by_direction(slopes: _Slopes) -> Tensor:
    inputs, radians = slopes.inputs, torch.tensor(slopes.settings.light_radians)
    across = tangents(inputs.direction)
    total = torch.zeros_like(inputs.direction)
    for way in across.unbind(-2):

        def move(side: float, way: Tensor = way) -> LayerInputs:
            return inputs._replace(direction=inputs.direction * radians.cos() + side * radians.sin() * way)

        total += (slopes.by_layer(move).sum(dim=1) / radians.sin())[:, None] * way
    return total


def _by_diffuse(slopes: _Slopes) -> Tensor:
    inputs, step = slopes.inputs, slopes.settings.colour
    return slopes.by_channel(lambda s: inputs._replace(diffuse=inputs.diffuse + s * step)).sum(dim=1) / step


def _by_ambient(slopes: _Slopes) -> Tensor:
    inputs, step = slopes.inputs, slopes.settings.colour
    return slopes.by_channel(lambda s: inputs._replace(ambient=inputs.ambient + s * step)).sum(dim=1) / step


_GRADIENTS = (_by_position, _by_rotation, _by_scale, _by_tint, _by_direction, _by_diffuse, _by_ambient)
"""In the order of `LayerInputs`."""
