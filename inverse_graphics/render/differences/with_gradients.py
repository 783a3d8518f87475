"""Gradients for an engine that may have none."""

from __future__ import annotations

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.differences.engine import FiniteDifference
from inverse_graphics.render.differences.steps import DifferenceSettings
from inverse_graphics.render.differences.whole_scenes import FiniteDifferenceOfScenes
from inverse_graphics.render.engine import RenderEngine
from inverse_graphics.render.rendering import SceneEngine


def with_gradients(
    engine: RenderEngine,
    library: MeshLibrary,
    workers: int = 0,
    settings: DifferenceSettings | None = None,
) -> RenderEngine:
    """Give the engine itself if it has gradients, else its differences: of whole scenes if it draws them.

    library: the engine's meshes.  workers: processes that draw layers, 0 for none but this one.

    Raises:
        EngineError: fewer than no workers.
    """
    if engine.differentiable:
        return engine
    if isinstance(engine, SceneEngine):
        return FiniteDifferenceOfScenes(engine, library, settings)
    if workers:
        return FiniteDifference.by_workers(engine, library, workers, settings)
    return FiniteDifference(engine, library, settings)


def with_step(engine: RenderEngine, step_px: float) -> RenderEngine:
    """Give the same engine with differences of another length, or as it is if it needs none."""
    if isinstance(engine, FiniteDifference | FiniteDifferenceOfScenes):
        return engine.with_step(step_px)
    return engine
