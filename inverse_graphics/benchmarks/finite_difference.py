"""Time of finite-difference gradients of poses, and the part of it that is not rendering."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.finite_difference.engine import FiniteDifference
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import CameraBatch, LightBatch, ObjectBatch, SceneBatch

MIN_COUNT = 3


class DifferenceTiming(NamedTuple):
    """seconds: for pictures of a batch and gradients by all poses of objects.  overhead: what this takes more
    than the renderings that it is made of, as a share of theirs; compositing is part of it.
    """

    seconds: float
    overhead: float


def time_differences(
    engine: RenderEngine, scenes: SceneBatch, library: MeshLibrary, seconds: float
) -> DifferenceTiming:
    """Take the medians over about `seconds`, and three times at least, after one that warms up."""
    drawing = _Stopwatch(engine)
    differences = FiniteDifference(drawing, library)
    _pose_gradients(differences, scenes)
    times: list[tuple[float, float]] = []
    while len(times) < MIN_COUNT or sum(whole for whole, _ in times) < seconds:
        drawing.seconds = 0.0
        whole = _timed(lambda: _pose_gradients(differences, scenes))
        times.append((whole, drawing.seconds))
    return DifferenceTiming(
        median(whole for whole, _ in times), median(whole / drawn - 1 for whole, drawn in times)
    )


def _pose_gradients(engine: RenderEngine, scenes: SceneBatch) -> tuple[Tensor, ...]:
    objects = scenes.objects
    position, rotation = (
        part.detach().clone().requires_grad_() for part in (objects.position, objects.rotation)
    )
    moving = replace(scenes, objects=replace(objects, position=position, rotation=rotation))
    return torch.autograd.grad(render(moving, engine).image.square().sum(), (position, rotation))


class _Stopwatch:
    """Another engine, and the seconds that it has drawn."""

    differentiable = False

    def __init__(self, engine: RenderEngine) -> None:
        self.name = engine.name
        self.seconds = 0.0
        self._engine = engine

    def layers(self, objects: ObjectBatch, camera: CameraBatch, light: LightBatch) -> Layers:
        start = time.perf_counter()
        layers = self._engine.layers(objects, camera, light)
        self.seconds += time.perf_counter() - start
        return layers


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
