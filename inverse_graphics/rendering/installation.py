"""Optional render libraries, imported on first use: PyTorch3D, Open3D and MuJoCo with OpenGL."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

from inverse_graphics.errors import EngineError

PYTORCH3D_REMEDY = "conda env create -f environment.yml"
"""How to install PyTorch3D, of which PyPI has no Linux build."""
OPEN3D_PACKAGES = "apt install libegl1 libgl1 libx11-6 libusb-1.0-0 libidn2-0"
OPENGL_PACKAGES = "apt install libegl1 libgl1 libopengl0 libgl1-mesa-dri"


class PyTorch3D(NamedTuple):
    """The used parts of PyTorch3D.  Untyped: it has no annotations that a type checker reads."""

    Meshes: Any
    rasterize_meshes: Any
    interpolate_face_attributes: Any


def load_pytorch3d() -> PyTorch3D:
    """Import PyTorch3D.

    Raises:
        EngineError: it is not installed, or was built for another torch; the message states the remedy.
    """
    try:
        from pytorch3d.ops import interpolate_face_attributes
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as problem:
        raise _missing("PyTorch3D does not import", problem, PYTORCH3D_REMEDY) from problem
    return PyTorch3D(Meshes, rasterize_meshes, interpolate_face_attributes)


def load_open3d() -> ModuleType:
    """Import Open3D.

    Raises:
        EngineError: it is not installed, or a system library that it needs is missing; the message names it.
    """
    try:
        import open3d
    except ModuleNotFoundError as problem:
        raise _missing("Open3D does not import", problem, "pip install open3d") from problem
    except (ImportError, OSError) as problem:
        remedy = f"on Debian or Ubuntu, {OPEN3D_PACKAGES}"
        raise _missing("Open3D does not import", problem, remedy) from problem
    return open3d


def load_mujoco() -> ModuleType:
    """Import MuJoCo.

    Raises:
        EngineError: it is not installed, or does not import.
    """
    try:
        import mujoco
    except ImportError as problem:
        raise _missing("MuJoCo does not import", problem, "pip install mujoco") from problem
    except Exception as problem:  # with MUJOCO_GL set, it searches OpenGL at import
        raise _missing("MuJoCo does not import", problem, "unset MUJOCO_GL") from problem
    return mujoco


def new_gl_context() -> Any:
    """Create an OpenGL context without a window by MuJoCo, and make it current in this thread.

    Raises:
        EngineError: this is not possible; the message states what Linux needs for it.
    """
    mujoco = load_mujoco()
    try:
        if sys.platform == "linux":
            from mujoco.egl import GLContext
        else:
            GLContext = mujoco.GLContext
        context = GLContext(16, 16)  # engines have their own framebuffers
        context.make_current()
    except Exception as problem:  # PyOpenGL fails in many ways: ImportError, AttributeError, its own errors
        linux = sys.platform == "linux"
        remedy = f"on Debian or Ubuntu, {OPENGL_PACKAGES}" if linux else "see MuJoCo's manual"
        raise _missing("no OpenGL without a display", problem, remedy) from problem
    return context


@lru_cache
def why_not(load: Callable[[], object]) -> str:
    """The reason, in one line, why a library does not work here and how to install it; "" if it works.

    Args:
        load: one of the functions above; called once.
    """
    try:
        load()
    except EngineError as problem:
        return str(problem)
    return ""


def _missing(what: str, problem: Exception, remedy: str) -> EngineError:
    cause = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
    return EngineError(f"{what} ({cause}): {remedy}")
