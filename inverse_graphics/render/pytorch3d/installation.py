"""PyTorch3D, imported on first use; it is no dependency, as PyPI has no Linux build of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from inverse_graphics.errors import EngineError

HOW_TO_GET = "conda env create -f environment.yml"


class PyTorch3D(NamedTuple):
    """The used parts of PyTorch3D.  Untyped: it has no annotations that a type checker reads."""

    Meshes: Any
    rasterize_meshes: Any
    interpolate_face_attributes: Any


def load_pytorch3d() -> PyTorch3D:
    """Import PyTorch3D.

    Raises:
        EngineError: it is not installed, or was built for another torch; the message states how to install
        one that
            works.
    """
    try:
        from pytorch3d.ops import interpolate_face_attributes
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as problem:
        cause = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise EngineError(f"PyTorch3D does not import ({cause}): {HOW_TO_GET}") from problem
    return PyTorch3D(Meshes, rasterize_meshes, interpolate_face_attributes)


def why_not() -> str:
    """The reason, in one line, why PyTorch3D does not work here and how to install it; "" if it works."""
    try:
        load_pytorch3d()
    except EngineError as problem:
        return str(problem)
    return ""
