"""How exact an engine promises to be, and how a check complains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.engine import RenderEngine

EngineFactory = Callable[[MeshLibrary], RenderEngine]


@dataclass(frozen=True)
class Tolerance:
    """What an engine promises; the defaults are what the embedded engine keeps.

    blur_px: how far from its outline an object may be neither there nor not, pixels.
    area: relative error of an object's summed alpha, mean over sub-pixel positions.  area_small: the same
    for objects of fewer than five pixels across, where a soft outline bends more than it can follow.
    area_once: the same in any one position, for objects eight pixels across; smaller ones get more.
    position_px: of an object's centre.  colour: of a surface, in [0, 1].  depth: relative.
    repeat: how far the same picture may differ when it is drawn another way (in a batch, with faces that
    have no area added), in [0, 1].  gradient: relative, of area and centre with respect to position.
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
    """Raise AssertionError with a complaint unless a condition holds; unlike `assert`, also under -O."""
    if not condition:
        raise AssertionError(complaint)


def require_near(found: float, expected: float, within: float, what: str) -> None:
    """Raise AssertionError unless a value lies within a distance of what is expected."""
    near = abs(found - expected) <= within  # false for NaN
    require(near, f"{what}: got {found:.6g}, expected {expected:.6g} within {within:.3g}")
