"""MuJoCo, imported on first use, and whether OpenGL works here without a display."""

from __future__ import annotations

import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

from inverse_graphics.errors import EngineError

DEBIAN = "apt install libegl1 libgl1 libopengl0 libgl1-mesa-dri"


def load_mujoco() -> ModuleType:
    """Import MuJoCo.

    Raises:
        EngineError: it is not installed, or does not import.
    """
    try:
        import mujoco
    except ImportError as problem:
        raise EngineError(f"MuJoCo does not import ({_first_line(problem)}): pip install mujoco") from problem
    except Exception as problem:  # with MUJOCO_GL set, it searches OpenGL at import
        raise EngineError(f"MuJoCo does not import ({_first_line(problem)}): unset MUJOCO_GL") from problem
    return mujoco


def new_context() -> Any:
    """Create an OpenGL context without a window, and make it current in this thread.

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
        how = f"on Debian or Ubuntu, {DEBIAN}" if sys.platform == "linux" else "see MuJoCo's manual"
        raise EngineError(f"no OpenGL without a display ({_first_line(problem)}): {how}") from problem
    return context


@lru_cache(maxsize=1)
def why_not() -> str:
    """The reason, in one line, why MuJoCo does not work here and how to install it; "" if it works."""
    try:
        load_mujoco()
    except EngineError as problem:
        return str(problem)
    return ""


@lru_cache(maxsize=1)
def why_no_gl() -> str:
    """The reason, in one line, why MuJoCo's renderer does not work here; "" if it does."""
    from inverse_graphics.render.mujoco.gl_faces import gl_thread

    try:
        gl_thread()
    except EngineError as problem:
        return str(problem)
    return ""


def _first_line(problem: Exception) -> str:
    return str(problem).splitlines()[0] if str(problem) else type(problem).__name__
