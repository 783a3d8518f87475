"""How fast the render engines are here: scenes of crockery on a table, drawn whole."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.engines import DEFAULT_ENGINE, make_engine
from inverse_graphics.render.rendering import render
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Scene

OBJECTS = 3
PACK = "crockery"


@dataclass(frozen=True)
class RenderRow:
    """Scenes per second of one engine at one size and batch; backward is None without gradients.

    forward: image, depth, alpha and mask under `torch.no_grad()`; forward_backward: the same with
    gradients of all of them with respect to poses, tints, cameras and lights.  objects, faces: a scene's.
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


def benchmark_render(
    engines: Sequence[str] = (DEFAULT_ENGINE,),
    sizes: Sequence[tuple[int, int]] = ((64, 64),),
    batches: Sequence[int] = (64,),
    device: str = "cpu",
    seconds: float = 2.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[RenderRow]:
    """Time each engine at each size (height, width) and batch; the median over about `seconds` each way.

    Raises:
        EngineError: an unknown engine, or one that does not work here.
    """
    library = load_pack(PACK).library()
    for name in engines:
        engine = make_engine(name, library)
        for height, width in sizes:
            for batch in batches:
                progress(f"{name}, {height}×{width}, batch {batch}")
                scenes = table_top_scenes(batch, height, width, library).to(device)
                yield _row(engine, scenes, library, seconds)


def _row(engine: RenderEngine, scenes: SceneBatch, library: MeshLibrary, seconds: float) -> RenderRow:
    batch, objects = scenes.objects.asset.shape
    faces = library.first_face.diff()[scenes.objects.asset.cpu()].sum(dim=1)
    forward = _seconds_per_call(lambda: _forward(engine, scenes), seconds)
    both = _seconds_per_call(lambda: _backward(engine, scenes), seconds) if engine.differentiable else None
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
    )


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
    """Median time of a call, after two that warm up; at least five are timed."""
    call()
    call()
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)


def table_top_scenes(
    count: int, height: int, width: int, library: MeshLibrary, objects: int = OBJECTS, seed: int = 0
) -> SceneBatch:
    """Scenes with `objects` objects each, standing apart on a table, seen from around it."""
    generator = np.random.default_rng(seed)
    return SceneBatch.from_scenes(
        [_scene(generator, height, width, library, objects) for _ in range(count)], library
    )


def _scene(
    generator: np.random.Generator, height: int, width: int, library: MeshLibrary, objects: int
) -> Scene:
    kinds = generator.integers(len(library.names), size=objects)
    turn = generator.uniform(0, 2 * math.pi)
    around = turn + np.arange(objects) * 2 * math.pi / objects
    far = generator.uniform(0.12, 0.2, objects)
    yaws = generator.uniform(-180, 180, objects)
    orbit = {
        "azimuth_degrees": generator.uniform(-180, 180),
        "elevation_degrees": generator.uniform(20, 60),
        "distance_m": generator.uniform(0.9, 1.2),
    }
    return Scene.model_validate(
        {
            "camera": {"width_px": width, "height_px": height, "orbit": orbit},
            "table": {"size_m": (0.7, 0.7)},
            "objects": [
                {
                    "asset": library.names[kind],
                    "position_m": (distance * math.cos(angle), distance * math.sin(angle), 0.0),
                    "yaw_degrees": yaw,
                }
                for kind, angle, distance, yaw in zip(kinds, around, far, yaws, strict=True)
            ],
        }
    )
