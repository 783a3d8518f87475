"""Time of finite-difference gradients with respect to poses, and its overhead over rendering."""

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
    """Time of the gradients of a batch.

    Attributes:
        seconds: time to render a batch and differentiate it with respect to all object poses.
        overhead: time beyond the engine's renderings, including compositing, as a share of theirs.
    """

    seconds: float
    overhead: float


def time_differences(
    engine: RenderEngine, scenes: SceneBatch, library: MeshLibrary, seconds: float
) -> DifferenceTiming:
    """Measure medians over about `seconds`, at least `MIN_COUNT` runs, after a warm-up run."""
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
    """A render engine that measures the time spent in another engine."""

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
