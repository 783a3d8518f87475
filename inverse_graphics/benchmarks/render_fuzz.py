"""Fuzzing of render engines: extreme random scenes must give finite values and gradients."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inverse_graphics.benchmarks.scenes import EVERYTHING, extreme_scenes, with_leaves
from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.rendering import Rendering, render
from inverse_graphics.scene.batch import SceneBatch

BATCH_SIZE = 250
MOST_OFFENDERS = 10
PACKS = ("crockery", "primitives")


@dataclass(frozen=True)
class FuzzResult:
    """Result of rendering random scenes.

    Attributes:
        engine: name of the engine.
        scenes: number of scenes.
        values: number of checked values in images and gradients.
        non_finite: number of these that are NaN or infinite; +inf in depth, which marks background, is not
            counted.
        showing: number of scenes with a visible object.
        offenders: "seed:index" of up to ten scenes with such values: scene number `index` of
            `extreme_scenes(BATCH_SIZE, …, seed)`.
    """

    engine: str
    device: str
    height: int
    width: int
    scenes: int
    showing: int
    values: int
    non_finite: int
    scenes_per_second: float
    offenders: str

    def check(self) -> None:
        """Raise `EngineError` if any value was not finite."""
        if self.non_finite:
            raise EngineError(
                f"engine '{self.engine}': {self.non_finite:,} of {self.values:,} values are not finite; "
                f"first scenes, seed:index, {self.offenders}; please report them"
            )


def fuzz(
    engine: RenderEngine,
    library: MeshLibrary,
    scenes: int,
    height: int = 32,
    width: int = 32,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int], None] = lambda _: None,
) -> FuzzResult:
    """Render random scenes in batches, with gradients where the engine has them.

    Args:
        engine: an engine built over `library`.
        library: meshes of the scenes, such as `fuzz_library()`, which includes degenerate ones.
        scenes: number of scenes.
        height: height of the images, pixels.
        width: width of the images, pixels.
        seed: batch k has the seed `seed` · 1,000,000 + k.
        device: device of the scenes.
        progress: called with the number of scenes done.
    """
    start, showing, values, bad = time.perf_counter(), 0, 0, 0
    offenders: list[str] = []
    for done in range(0, scenes, BATCH_SIZE):
        count, number = min(BATCH_SIZE, scenes - done), 1_000_000 * seed + done // BATCH_SIZE
        batch = extreme_scenes(BATCH_SIZE, height, width, len(library.names), number)
        seen, looked_at, wrong = _examined(engine, batch[:count].to(device))
        showing, values, bad = showing + seen, values + looked_at, bad + int(wrong.sum())
        offenders += [f"{number}:{index}" for index in wrong.nonzero()[:, 0].tolist()]
        progress(done + count)
    return FuzzResult(
        engine=engine.name,
        device=device,
        height=height,
        width=width,
        scenes=scenes,
        showing=showing,
        values=values,
        non_finite=bad,
        scenes_per_second=scenes / (time.perf_counter() - start),
        offenders=", ".join(offenders[:MOST_OFFENDERS]),
    )


def fuzz_library() -> MeshLibrary:
    """Build a library of the shipped packs' meshes, a needle, and a mesh of faces without area."""
    shipped = [
        (name, load_pack(pack).mesh(name.partition("/")[2]))
        for pack in PACKS
        for name in load_pack(pack).asset_names
    ]
    needle = _mesh([[0, 0, -0.5], [1e-6, 0, 0.5], [0, 1e-6, 0.5], [-1e-6, 0, 0.5]], [[0, 1, 2], [0, 2, 3]])
    flat = _mesh([[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [0, 1e-12, 0]], [[0, 1, 2], [0, 0, 1], [0, 1, 3]])
    return MeshLibrary.from_meshes([*shipped, ("fuzz/needle", needle), ("fuzz/flat", flat)])


def _mesh(vertices: list[list[float]], faces: list[list[int]]) -> Mesh:
    points = np.array(vertices, np.float32)
    up = np.tile(np.array([0, 0, 1], np.float32), (len(points), 1))
    return Mesh(points, np.array(faces), up, np.full_like(points, 0.5))


def _examined(engine: RenderEngine, scenes: SceneBatch) -> tuple[int, int, Tensor]:
    """Count the scenes with a visible object, the checked values, and each scene's non-finite values (B,)."""
    leaves, moving = with_leaves(scenes, EVERYTHING) if engine.differentiable else ([], scenes)
    drawn = render(moving, engine)
    tensors = [drawn.image, drawn.alpha, torch.where(drawn.depth == torch.inf, 0.0, drawn.depth)]
    if leaves:
        tensors += torch.autograd.grad(_loss(drawn), leaves)
    wrong = torch.stack([(~part.detach().isfinite()).flatten(1).sum(dim=1) for part in tensors]).sum(dim=0)
    showing = int((drawn.alpha.detach().flatten(1).amax(dim=1) > 0).sum())
    return showing, sum(part.numel() for part in tensors), wrong.cpu()


def _loss(drawn: Rendering) -> Tensor:
    """A weighted sum of all pixels, with different weights so that gradients do not cancel."""
    depth = torch.where(drawn.depth.isfinite(), drawn.depth, 0.0)
    pixels = torch.cat([drawn.image, drawn.alpha[:, None], depth[:, None]], dim=1)
    weights = torch.arange(pixels[0].numel(), device=pixels.device, dtype=pixels.dtype).sin()
    return (pixels * weights.reshape(pixels.shape[1:])).sum()
