"""Sprites: rendered squares, triangles and discs of random size and orientation.

Eslami et al. 2016, section 3.2 and appendix, count such shapes, which may overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.data.glyphs import Glyphs, Split

SHAPES = ("square", "triangle", "disc")
SIDE = 20
"""Height and width of a sprite's image, pixels."""
RADII = (5.0, 8.0)
"""Smallest and largest distance from the centre to the farthest ink, pixels."""
NUMBERS = (4000, 400, 1000)
"""Number of training, calibration and test sprites."""
SUPERSAMPLED = 4
"""Points per pixel and axis; the share of points inside the shape is the grey level."""


def sprite_glyphs() -> Split:
    """Sample sprites of all shapes with equal probability, labelled by their index in `SHAPES`."""
    generator = np.random.default_rng(0)
    return Split(*(sample_sprites(number, generator) for number in NUMBERS))


def sample_sprites(number: int, generator: np.random.Generator) -> Glyphs:
    """Sample sprites of random shape, radius and orientation."""
    labels = generator.integers(len(SHAPES), size=number)
    radius = generator.uniform(*RADII, (number, 1, 1))
    orientation = generator.uniform(0, 2 * np.pi, (number, 1, 1))
    points = (np.arange(SIDE * SUPERSAMPLED) + 0.5) / SUPERSAMPLED - SIDE / 2
    x, y = points[None, None, :], points[None, :, None]
    inside = np.select(
        [labels[:, None, None] == kind for kind in range(len(SHAPES))],
        [
            _in_polygon(x, y, 4, radius, orientation),
            _in_polygon(x, y, 3, radius, orientation),
            np.hypot(x, y) <= radius,
        ],
    )
    cells = inside.reshape(number, SIDE, SUPERSAMPLED, SIDE, SUPERSAMPLED)
    return Glyphs(np.rint(255 * cells.mean(axis=(2, 4))).astype(np.uint8), labels)


def _in_polygon(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    corners: int,
    radius: NDArray[np.float64],
    orientation: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether points lie in a regular polygon about the origin with corners at `radius`."""
    inner = radius * np.cos(np.pi / corners)
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape, radius.shape), np.bool_)
    for side in range(corners):
        angle = orientation + 2 * np.pi * side / corners
        inside &= x * np.cos(angle) + y * np.sin(angle) <= inner
    return inside
