"""Processor time of each stage of the embedded engine for a batch, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering import backdrop_numba
from inverse_graphics.rendering.backdrop import plan_of
from inverse_graphics.rendering.embedded.drawing import layer_parameters
from inverse_graphics.rendering.embedded.drawing_numba import Seen, as_rows, shade
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.embedded.scene_numba import lay_over
from inverse_graphics.rendering.embedded.visibility import Clipping, Visibility
from inverse_graphics.rendering.embedded.visibility_numba import STAGES, find_in, find_until
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import SceneBatch


class StageRow(NamedTuple):
    """Processor time of one stage, in microseconds a scene."""

    stage: str
    microseconds: float


def profile_stages(scenes: SceneBatch, library: MeshLibrary, repeats: int = 15) -> tuple[StageRow, ...]:
    """Time each stage of `render` without gradients.

    The last row, "calls and allocation", is the time of `render` minus the sum of the stages; it may be
    negative by measurement noise. The rows sum to the time of `render`.

    Args:
        scenes: scenes on the CPU.
        library: their meshes.
        repeats: number of runs, of which medians are reported.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            rows = _rows(scenes, library, repeats)
    finally:
        torch.set_num_threads(threads)
    return tuple(StageRow(name, 1e6 * seconds / len(scenes.background)) for name, seconds in rows.items())


def _rows(scenes: SceneBatch, library: MeshLibrary, repeats: int) -> dict[str, float]:
    engine = EmbeddedEngine(library)
    model = engine.compiled_model(scenes.objects.position)
    objects, camera, light = scenes.objects, scenes.camera, scenes.light
    clipping = Clipping(camera.height, camera.width, engine.settings.near, engine.settings.far)
    plan = plan_of(scenes.table, scenes.background, camera, light)
    parameters, mesh = as_rows(layer_parameters(objects, camera, light)), objects.asset.reshape(-1).numpy()
    found = find_in(model.geometry, parameters, mesh, clipping)
    seen, bare = (Seen.from_visibility(part, len(mesh)) for part in (found, _without_edges(found)))
    dtype = objects.position.dtype
    rendered = shade(parameters, seen, model.tables, dtype).rendered
    size = (len(scenes.background), camera.height, camera.width)
    image, coverage, alpha, depth, mask = (
        np.empty((size[0], 3, *size[1:]), rendered.dtype),
        *np.empty((3, *size), rendered.dtype),
        np.empty(size, np.int64),
    )
    arrays = [tensor.numpy() for tensor in plan]

    def timed(call: Callable[[], object]) -> float:
        return _seconds(call, repeats)

    rows = {
        "parameters": timed(lambda: layer_parameters(objects, camera, light))
        + timed(lambda: plan_of(scenes.table, scenes.background, camera, light))
    }
    before = 0.0
    for count in range(len(STAGES) + 1):
        upto = timed(partial(find_until, count, 0, len(mesh), model.geometry, parameters, mesh, clipping))
        if count:
            rows[STAGES[count - 1]] = upto - before
        before = upto
    rows["shading"] = timed(lambda: shade(parameters, bare, model.tables, dtype))
    rows["coverage"] = timed(lambda: shade(parameters, seen, model.tables, dtype)) - rows["shading"]
    rows["backdrop"] = timed(lambda: backdrop_numba.paint(arrays, image, coverage, depth))
    rows["compositing"] = timed(
        lambda: lay_over(objects.asset.shape[1], seen, rendered, image, coverage, alpha, depth, mask)
    )
    whole = timed(lambda: render(scenes, engine))
    return {**rows, "calls and allocation": whole - sum(rows.values())}


def _without_edges(found: Visibility) -> Visibility:
    return replace(found, fragments=found.fragments[: found.covered], crossings=found.crossings[:0])


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """Median processor time of a call on this thread, after two calls for warm-up."""
    call()
    call()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return median(times)
