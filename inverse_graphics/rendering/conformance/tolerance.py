"""The accuracy that an engine promises, and the assertions of the checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.engine import RenderEngine

EngineFactory = Callable[[MeshLibrary], RenderEngine]


@dataclass(frozen=True)
class Tolerance:
    """The accuracy of an engine; the defaults hold for the embedded engine.

    Attributes:
        blur_px: distance from its outline within which an object's alpha is undefined, pixels.
        area: relative error of an object's summed alpha, mean over sub-pixel positions.
        area_small: the same for objects of fewer than five pixels across, whose curvature a soft outline
            cannot resolve.
        area_once: the same in a single position, for objects eight pixels across; larger for smaller objects.
        position_px: error of an object's centre, pixels.
        colour: error of a surface's colour, in [0, 1].
        depth: relative error.
        repeat: largest difference of the same image when it is rendered in another way (in a batch, with
            faces without area added), in [0, 1].
        gradient: relative error of the derivatives of area and centre with respect to position.
    """

    blur_px: float = 0.6
    area: float = 0.01
    area_small: float = 0.01
    area_once: float = 0.05
    position_px: float = 0.1
    colour: float = 1 / 255
    depth: float = 1e-3
    repeat: float = 1e-5
    gradient: float = 0.05


Check = Callable[[EngineFactory, Tolerance], None]


def require(condition: bool, complaint: str) -> None:
    """Raise AssertionError with a message unless a condition holds; unlike `assert`, also under -O."""
    if not condition:
        raise AssertionError(complaint)


def require_near(found: float, expected: float, within: float, what: str) -> None:
    """Raise AssertionError unless a value lies within a distance of the expected one."""
    near = abs(found - expected) <= within  # false for NaN
    require(near, f"{what}: got {found:.6g}, expected {expected:.6g} within {within:.3g}")
