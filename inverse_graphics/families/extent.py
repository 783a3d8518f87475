"""Where the scenes of a family take place, and what of them varies."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Extent(NamedTuple):
    """The plane on which objects stand or float, its reach, and the cameras before it.

    Origins lie within ±`reach` (2,) metres of `origin` (3,) along `axes` (2, 3), unit and orthogonal. The
    camera's orbit (azimuth, elevation in radians, distance in metres) lies between `orbit_low` and
    `orbit_high`, (3,); equal numbers are fixed.  turns: (K,) bool, the kinds on which a turn can be seen.
    """

    origin: Tensor
    axes: Tensor
    reach: Tensor
    orbit_low: Tensor
    orbit_high: Tensor
    turns: Tensor
