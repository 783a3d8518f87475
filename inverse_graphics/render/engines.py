"""Render engines by name: which exist, which work here, and how to get the others."""

from __future__ import annotations

from typing import NamedTuple

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.engine import RenderEngine

DEFAULT_ENGINE = "embedded"


class EngineStatus(NamedTuple):
    """Whether an engine works here; `reason` says in one line why not, and how to get it ("" if it works)."""

    name: str
    works: bool
    reason: str


_PLANNED = {
    "pytorch3d": "conda install -c conda-forge pytorch3d",
    "open3d": "pip install open3d",
    "mujoco": "pip install mujoco",
}


def available_engines() -> tuple[EngineStatus, ...]:
    """Every engine that the project knows of, the default first."""
    planned = (
        EngineStatus(
            name, False, f"this version has no adapter for it yet (a later one will, after `{install}`)"
        )
        for name, install in _PLANNED.items()
    )
    return (_embedded_status(), *planned)


def make_engine(name: str, library: MeshLibrary) -> RenderEngine:
    """Build the engine called `name`, with its default settings, over a library of meshes.

    Raises:
        EngineError: no engine has that name, or it does not work here; says which do.
    """
    status = {engine.name: engine for engine in available_engines()}
    working = ", ".join(engine.name for engine in status.values() if engine.works)
    if name not in status:
        known = ", ".join(status)
        raise EngineError(f"unknown render engine '{name}': available here: {working}; known: {known}")
    if not status[name].works:
        raise EngineError(
            f"render engine '{name}' does not work here: {status[name].reason}; available: {working}"
        )
    from inverse_graphics.render.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(library)


def _embedded_status() -> EngineStatus:
    """Numba may be missing or broken; the torch path then still draws."""
    try:
        import numba  # noqa: F401
    except ImportError as problem:
        return EngineStatus(
            "embedded", True, f"slow on the CPU: numba does not import ({problem}): pip install numba"
        )
    return EngineStatus("embedded", True, "")
