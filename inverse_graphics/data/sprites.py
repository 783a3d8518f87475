"""Sprites: squares, triangles and discs of any size and turn, drawn here.

Eslami et al. 2016, section 3.2 and appendix, learn to count images of such shapes that may overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.data.glyphs import Glyphs, Split

SHAPES = ("square", "triangle", "disc")
SIDE = 20
"""Height and width of a sprite's picture, pixels."""
RADII = (5.0, 8.0)
"""Smallest and largest distance from the centre to the farthest ink, pixels."""
NUMBERS = (4000, 400, 1000)
"""How many are learnt from, kept, and held out."""
SUPERSAMPLED = 4
"""Points per pixel and axis whose share inside the shape is its grey level."""


def sprite_glyphs() -> Split:
    """Sprites of all shapes alike, labelled by their place in `SHAPES`."""
    generator = np.random.default_rng(0)
    return Split(*(draw_sprites(number, generator) for number in NUMBERS))


def draw_sprites(number: int, generator: np.random.Generator) -> Glyphs:
    """Sprites of random shape, radius and turn."""
    labels = generator.integers(len(SHAPES), size=number)
    radius = generator.uniform(*RADII, (number, 1, 1))
    turn = generator.uniform(0, 2 * np.pi, (number, 1, 1))
    points = (np.arange(SIDE * SUPERSAMPLED) + 0.5) / SUPERSAMPLED - SIDE / 2
    x, y = points[None, None, :], points[None, :, None]
    inside = np.select(
        [labels[:, None, None] == kind for kind in range(len(SHAPES))],
        [
            _in_polygon(x, y, 4, radius, turn),
            _in_polygon(x, y, 3, radius, turn),
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
    turn: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether points lie in a regular polygon about the origin with corners at `radius`."""
    inner = radius * np.cos(np.pi / corners)
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape, radius.shape), np.bool_)
    for side in range(corners):
        angle = turn + 2 * np.pi * side / corners
        inside &= x * np.cos(angle) + y * np.sin(angle) <= inner
    return inside
