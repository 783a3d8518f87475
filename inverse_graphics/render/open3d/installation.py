"""Open3D, imported when it is first needed."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

from inverse_graphics.errors import EngineError

DEBIAN = "apt install libegl1 libgl1 libx11-6 libusb-1.0-0 libidn2-0"


def load_open3d() -> ModuleType:
    """Import Open3D.

    Raises:
        EngineError: it is not installed, or a library of the system that it wants is missing; says which.
    """
    try:
        import open3d
    except ModuleNotFoundError as problem:
        raise EngineError(f"Open3D does not import ({problem}): pip install open3d") from problem
    except (ImportError, OSError) as problem:
        cause = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise EngineError(f"Open3D does not import ({cause}): on Debian or Ubuntu, {DEBIAN}") from problem
    return open3d


@lru_cache(maxsize=1)
def why_not() -> str:
    """Say in one line why Open3D does not work here and how to get it; "" if it works."""
    try:
        load_open3d()
    except EngineError as problem:
        return str(problem)
    return ""
