"""Speed of the render engines on whole scenes of crockery on a table, without and with gradients."""

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
    """Gradients of the sum of image, depth and alpha with respect to what a search moves."""
    _, moving = with_leaves(scenes, GEOMETRY)
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


__all__ = ["RenderRow", "benchmark_render", "measured_row", "table_top_scenes", "working_engines"]

OBJECTS = 3
PACK = "crockery"


@dataclass(frozen=True)
class RenderRow:
    """Scenes per second of one engine at one size and batch; backward is None without gradients.

    forward: image, depth, alpha and mask under `torch.no_grad()`; forward_backward: the same with gradients
    of all of them with respect to poses, tints, cameras and lights.

    Attributes:
        objects: a scene's.
        faces: a scene's.
        covered: pixels that the objects of a scene cover, each by itself, added up.
        pose_gradients_per_second: scenes with their image's gradient by the objects' poses, by differences;
            of engines that draw layers and have no gradients.
        overhead: how much longer that takes than its renderings.
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
    """Time each engine at each size (height, width), batch, number of faces and of objects.

    Args:
        faces: of each object, which is then a ball; None for crockery, of about 1,000.
        objects: in each scene. Figures are medians over about `seconds` each way; all engines are given the
            same scenes.

    Raises:
        EngineError: an unknown engine, or one that does not work here.

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
    """Time one engine on given scenes."""
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
    """Names of all engines that work here, the default first."""
    return tuple(engine.name for engine in available_engines() if engine.works)
