"""Render engines by name: which exist, which work on this machine, and how to install the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from inverse_graphics.errors import EngineError
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.installation import load_mujoco, load_open3d, load_pytorch3d, why_not

if TYPE_CHECKING:
    from inverse_graphics.rendering.finite_difference.steps import DifferenceSettings

DEFAULT_ENGINE = "embedded"


class EngineStatus(NamedTuple):
    """Whether an engine works on this machine.

    Attributes:
        name: The name by which commands, recipes and functions choose it.
        works: Whether it works on this machine.
        reason: Why not, or why it is slow, and how to change that, in one line; "" if all is well.
    """

    name: str
    works: bool
    reason: str


class _Entry(NamedTuple):
    """Functions that make an engine, and that check whether it works on this machine."""

    make: Callable[[MeshLibrary], RenderEngine]
    status: Callable[[str], EngineStatus]


def available_engines() -> tuple[EngineStatus, ...]:
    """List all engines, and whether they work on this machine.

    Returns:
        One status for each, the default engine's first.
    """
    return tuple(_status(name) for name in _ENGINES)


def make_engine(name: str, library: MeshLibrary) -> RenderEngine:
    """Build a render engine with its default settings.

    Args:
        name: Its name (see `available_engines`).
        library: The meshes that it renders, such as `load_pack("crockery").library()`.

    Returns:
        The engine.

    Raises:
        EngineError: No engine has that name, or it does not work here; the message lists those that do.
    """
    if name not in _ENGINES:
        known = ", ".join(_ENGINES)
        raise EngineError(f"unknown render engine '{name}': available here: {_working()}; known: {known}")
    status = _status(name)
    if not status.works:
        raise EngineError(
            f"render engine '{name}' does not work here: {status.reason}; available: {_working()}"
        )
    return _ENGINES[name].make(library)


def make_differentiable_engine(
    name: str,
    library: MeshLibrary,
    samples: int | None = None,
    workers: int = 0,
    settings: DifferenceSettings | None = None,
) -> RenderEngine:
    """Build the engine called `name`; one without gradients gets them by finite differences.

    Args:
        name: of the engine.
        library: the meshes that it renders.
        samples: number of samples along each side of a pixel; None for the engine's default.
        workers: worker processes for an engine without gradients; 0 to render in this process.
        settings: of finite differences; None for the defaults.

    Raises:
        EngineError: no engine has that name, or it does not work here; the message lists those that do.

    """
    from inverse_graphics.rendering.finite_difference.whole_scenes import with_gradients

    engine = make_engine(name, library)
    if samples is not None:
        engine = with_samples(engine, samples)
    return with_gradients(engine, library, workers, settings)


def with_samples(engine: RenderEngine, samples: int) -> RenderEngine:
    """Set the number of samples along each side of a pixel; engines without this setting are supersampled.

    Raises:
        EngineError: fewer than one sample, or more than 16.
    """
    from inverse_graphics.rendering.mujoco.shadow_engine import ShadowEngine
    from inverse_graphics.rendering.sampled.engine import SampledEngine
    from inverse_graphics.rendering.supersampled import Supersampled

    if isinstance(engine, SampledEngine | ShadowEngine):
        return engine.with_samples(samples)
    return Supersampled(engine, samples)


def _status(name: str) -> EngineStatus:
    return _ENGINES[name].status(name)


def _working() -> str:
    return ", ".join(engine.name for engine in available_engines() if engine.works)


def _make_embedded(library: MeshLibrary) -> RenderEngine:
    from inverse_graphics.rendering.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(library)


def _make_shared(library: MeshLibrary) -> RenderEngine:
    from inverse_graphics.rendering.pytorch3d.shared import SharedEngine

    return SharedEngine(library)


def _make_native(library: MeshLibrary) -> RenderEngine:
    from inverse_graphics.rendering.pytorch3d.native import NativeEngine

    return NativeEngine(library)


def _make_open3d(library: MeshLibrary) -> RenderEngine:
    from inverse_graphics.rendering.open3d.faces import Open3DFaces
    from inverse_graphics.rendering.sampled.engine import SampledEngine

    return SampledEngine("open3d", Open3DFaces(library))


def _make_mujoco(library: MeshLibrary) -> RenderEngine:
    """MuJoCo with OpenGL if it works, else by ray casting."""
    from inverse_graphics.rendering.sampled.engine import FaceFinder, SampledEngine

    finder: FaceFinder
    if _why_no_gl():
        from inverse_graphics.rendering.mujoco.ray_faces import RayFaces

        finder = RayFaces(library)
    else:
        from inverse_graphics.rendering.mujoco.gl_faces import GlFaces

        finder = GlFaces(library)
    return SampledEngine("mujoco", finder)


def _make_mujoco_shadows(library: MeshLibrary) -> RenderEngine:
    from inverse_graphics.rendering.mujoco.shadow_engine import ShadowEngine

    return ShadowEngine(library)


def _embedded_status(name: str) -> EngineStatus:
    """Numba may be missing or broken; the torch implementation works without it."""
    try:
        import numba  # noqa: F401
    except ImportError as problem:
        slow = f"slow on the CPU: numba does not import ({problem}): pip install numba"
        return EngineStatus(name, True, slow)
    return EngineStatus(name, True, "")


def _pytorch3d_status(name: str) -> EngineStatus:
    reason = why_not(load_pytorch3d)
    return EngineStatus(name, not reason, reason)


def _open3d_status(name: str) -> EngineStatus:
    reason = why_not(load_open3d)
    return EngineStatus(name, not reason, reason)


def _mujoco_status(name: str) -> EngineStatus:
    if reason := why_not(load_mujoco):
        return EngineStatus(name, False, reason)
    reason = _why_no_gl()
    return EngineStatus(name, True, reason and f"slow, by ray casting: {reason}")


def _mujoco_shadows_status(name: str) -> EngineStatus:
    reason = why_not(load_mujoco) or _why_no_gl()
    return EngineStatus(name, not reason, reason)


def _why_no_gl() -> str:
    """The reason, in one line, why MuJoCo's renderer does not work here; "" if it does."""
    from inverse_graphics.rendering.mujoco.gl_faces import gl_thread

    return why_not(gl_thread)


_ENGINES = {
    DEFAULT_ENGINE: _Entry(_make_embedded, _embedded_status),
    "pytorch3d": _Entry(_make_shared, _pytorch3d_status),
    "pytorch3d-native": _Entry(_make_native, _pytorch3d_status),
    "open3d": _Entry(_make_open3d, _open3d_status),
    "mujoco": _Entry(_make_mujoco, _mujoco_status),
    "mujoco-shadows": _Entry(_make_mujoco_shadows, _mujoco_shadows_status),
}
