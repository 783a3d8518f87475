"""Speed of the render engines on composited scenes of crockery on a table, without and with gradients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.benchmarks.finite_difference import time_differences
from inverse_graphics.benchmarks.scenes import GEOMETRY, ball_library, table_top_scenes, with_leaves
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, available_engines, make_engine
from inverse_graphics.rendering.rendering import SceneEngine, render
from inverse_graphics.scene.batch import SceneBatch

TIME_LIMIT_FACTOR = 10
"""A measurement ends after this multiple of the requested seconds, whatever the number of runs."""


class Timing(NamedTuple):
    """Seconds per batch.

    Attributes:
        forward: time to render image, depth, alpha and mask without gradients.
        forward_backward: time to render and differentiate with respect to poses, tints, cameras and lights;
            None for engines without gradients.
    """

    forward: float
    forward_backward: float | None


def time_engine(engine: RenderEngine, scenes: SceneBatch, seconds: float) -> Timing:
    """Measure the median time per call with and without gradients, over about `seconds` each.

    Args:
        engine: the engine.
        scenes: a batch.
        seconds: time per measurement after a warm-up; slow engines take up to ten times as long.
    """
    forward = _seconds_per_call(lambda: _forward(engine, scenes), seconds)
    if not engine.differentiable:
        return Timing(forward, None)
    return Timing(forward, _seconds_per_call(lambda: _backward(engine, scenes), seconds))


def _forward(engine: RenderEngine, scenes: SceneBatch) -> None:
    with torch.no_grad():
        render(scenes, engine)
    _finish(scenes.background)


def _backward(engine: RenderEngine, scenes: SceneBatch) -> None:
    """Differentiate the sum of image, depth and alpha with respect to the variables of a search."""
    _, moving = with_leaves(scenes, GEOMETRY)
    drawn = render(moving, engine)
    outputs = (drawn.image, drawn.depth, drawn.alpha)
    torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
    _finish(scenes.background)


def _finish(value: Tensor) -> None:
    if value.is_cuda:
        torch.cuda.synchronize(value.device)


def _seconds_per_call(call: Callable[[], None], seconds: float) -> float:
    """Median time of at least five calls, or fewer at the time limit, after two calls for warm-up."""
    limit = TIME_LIMIT_FACTOR * seconds
    if _timed(call) < limit:
        call()
    times = [_timed(call)]
    while sum(times) < seconds or (len(times) < 5 and sum(times) < limit):
        times.append(_timed(call))
    return median(times)


def _timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


__all__ = ["RenderRow", "benchmark_render", "measured_row", "table_top_scenes", "working_engines"]

OBJECTS = 3
PACK = "crockery"


@dataclass(frozen=True)
class RenderRow:
    """Speed of one engine at one image size and batch size.

    Attributes:
        engine: name of the engine.
        device: device of the scenes.
        height: height of the images, pixels.
        width: width of the images, pixels.
        batch: batch size.
        faces: mean number of faces per scene.
        forward_scenes_per_second: rendering of image, depth, alpha and mask without gradients.
        forward_backward_scenes_per_second: rendering and differentiation with respect to poses, tints,
            cameras and lights; None for engines without gradients.
        objects: objects per scene.
        covered: mean sum over a scene's objects of the pixels that each covers, occluded ones included.
        pose_gradients_per_second: rendering and finite differences with respect to object poses; only for
            engines that render layers and have no gradients.
        overhead: time of these gradients beyond their renderings, as a share of the renderings.
    """

    engine: str
    device: str
    height: int
    width: int
    batch: int
    faces: int
    forward_scenes_per_second: float
    forward_backward_scenes_per_second: float | None
    objects: int
    covered: int
    pose_gradients_per_second: float | None
    overhead: float | None


def benchmark_render(
    engines: Sequence[str] = (DEFAULT_ENGINE,),
    sizes: Sequence[tuple[int, int]] = ((64, 64),),
    batches: Sequence[int] = (64,),
    device: str = "cpu",
    seconds: float = 2.0,
    faces: Sequence[int | None] = (None,),
    objects: Sequence[int] = (OBJECTS,),
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[RenderRow]:
    """Time each engine at each image size, batch size, number of faces and number of objects.

    All engines render the same scenes.

    Args:
        engines: names of engines.
        sizes: (height, width) of the images, pixels.
        batches: batch sizes.
        device: device of the scenes.
        seconds: time per measurement.
        faces: faces per object, which is then a sphere; None for crockery, of about 1,000 faces.
        objects: numbers of objects per scene.
        progress: called with a line of text before each measurement.

    Raises:
        EngineError: an engine is unknown or not available here.

    """
    for count in faces:
        library = load_pack(PACK).library() if count is None else ball_library(count)
        made = [make_engine(name, library) for name in engines]
        for height, width in sizes:
            for batch in batches:
                for slots in objects:
                    scenes = table_top_scenes(batch, height, width, library, slots).to(device)
                    for engine in made:
                        progress(f"{engine.name}, {height}×{width}, batch {batch}, {slots} objects")
                        yield measured_row(engine, scenes, library, seconds)


def measured_row(engine: RenderEngine, scenes: SceneBatch, library: MeshLibrary, seconds: float) -> RenderRow:
    """Time one engine on a batch of scenes; see `time_engine`."""
    batch, objects = scenes.objects.asset.shape
    faces = library.first_face.diff()[scenes.objects.asset.cpu()].sum(dim=1)
    forward, both = time_engine(engine, scenes, seconds)
    with torch.no_grad():
        alpha = engine.layers(scenes.objects, scenes.camera, scenes.light).alpha
    by_differences = None
    if not engine.differentiable and not isinstance(engine, SceneEngine):
        by_differences = time_differences(engine, scenes, library, seconds)
    return RenderRow(
        engine=engine.name,
        device=scenes.background.device.type,
        height=scenes.camera.height,
        width=scenes.camera.width,
        batch=batch,
        faces=round(float(faces.double().mean())),
        forward_scenes_per_second=batch / forward,
        forward_backward_scenes_per_second=None if both is None else batch / both,
        objects=objects,
        covered=round(float((alpha > 0).sum()) / batch),
        pose_gradients_per_second=by_differences and batch / by_differences.seconds,
        overhead=by_differences and by_differences.overhead,
    )


def working_engines() -> tuple[str, ...]:
    """Names of all engines that are available here, the default first."""
    return tuple(engine.name for engine in available_engines() if engine.works)
