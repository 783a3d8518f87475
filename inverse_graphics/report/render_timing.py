"""Seconds that an engine needs for some scenes, drawn whole, without and with gradients."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.rendering import render
from inverse_graphics.scene.batch import SceneBatch

TOO_LONG = 10  # times the seconds that were asked for


class Timing(NamedTuple):
    """Seconds for a batch.  forward: image, depth, alpha and mask under `torch.no_grad()`; forward_backward:
    the same with gradients of all of them with respect to poses, tints, cameras and lights, None without.
    """

    forward: float
    forward_backward: float | None


def time_engine(engine: RenderEngine, scenes: SceneBatch, seconds: float) -> Timing:
    """Take medians over about `seconds` each way, at most ten times that and a call, after a warm-up."""
    forward = _seconds_per_call(lambda: _forward(engine, scenes), seconds)
    if not engine.differentiable:
        return Timing(forward, None)
    return Timing(forward, _seconds_per_call(lambda: _backward(engine, scenes), seconds))


def _forward(engine: RenderEngine, scenes: SceneBatch) -> None:
    with torch.no_grad():
        render(scenes, engine)
    _finish(scenes.background)


def _backward(engine: RenderEngine, scenes: SceneBatch) -> None:
    """Gradients of the sum of image, depth and alpha with respect to all that an engine may move."""

    def leaf(value: Tensor) -> Tensor:
        return value.detach().clone().requires_grad_()

    objects, camera, light = scenes.objects, scenes.camera, scenes.light
    moving = replace(
        scenes,
        objects=replace(
            objects,
            position=leaf(objects.position),
            rotation=leaf(objects.rotation),
            tint=leaf(objects.tint),
        ),
        camera=replace(camera, T_world_camera=leaf(camera.T_world_camera)),
        light=replace(light, direction=leaf(light.direction)),
    )
    drawn = render(moving, engine)
    outputs = (drawn.image, drawn.depth, drawn.alpha)
    torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
    _finish(scenes.background)


def _finish(value: Tensor) -> None:
    if value.is_cuda:
        torch.cuda.synchronize(value.device)


def _seconds_per_call(call: Callable[[], None], seconds: float) -> float:
    """Median time of a call, after two that warm up: of five or more, of fewer where they take too long."""
    patience = TOO_LONG * seconds
    if _timed(call) < patience:
        call()
    times = [_timed(call)]
    while sum(times) < seconds or (len(times) < 5 and sum(times) < patience):
        times.append(_timed(call))
    return median(times)


def _timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
