"""Closed surfaces from profiles: surfaces of revolution, and sweeps for handles.

Faces are counter-clockwise seen from outside and have one colour each, so that colour edges are sharp without
a texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Colour = tuple[float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Solid:
    """A closed surface.  vertices: (V, 3), metres, Z up.  faces: (F, 3).  face_colours: (F, 3) in [0, 1]."""

    vertices: Array
    faces: NDArray[np.int64]
    face_colours: Array


@dataclass(frozen=True)
class Stroke:
    """A part of a profile in one colour; it starts at the end of the previous stroke."""

    colour: Colour
    points: Sequence[Point]


def arc(centre: Point, radius: float, start_degrees: float, stop_degrees: float, steps: int) -> list[Point]:
    """`steps` + 1 points (radius, height) along a circle, both ends included."""
    angles = np.radians(np.linspace(start_degrees, stop_degrees, steps + 1))
    return [(float(centre[0] + radius * np.cos(a)), float(centre[1] + radius * np.sin(a))) for a in angles]


def lathe(strokes: Sequence[Stroke], segments: int) -> Solid:
    """Build a surface of revolution about Z.

    The profile is (radius, height) in metres, from the axis at the bottom along the outside back to the axis,
    so that the surface is closed.
    """
    profile = np.array([point for stroke in strokes for point in stroke.points])
    colours = np.array([stroke.colour for stroke in strokes for _ in stroke.points])
    angles = np.arange(segments) * (2 * np.pi / segments)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    rings = profile[:, None, :1] * circle  # (P, segments, 2)
    heights = np.broadcast_to(profile[:, None, 1:], (len(profile), segments, 1))
    vertices = np.concatenate([rings, heights], axis=-1).reshape(-1, 3)
    faces = _grid_faces(len(profile), segments)
    # the colour of a face is that of the profile point at which its segment ends
    face_colours = np.repeat(colours[1:], 2 * segments, axis=0)
    return _without_slivers(Solid(vertices, faces, face_colours))


def sweep(path: Array, half_widths: Array, colours: Sequence[Colour], sides: int) -> Solid:
    """Sweep an ellipse along a path in the plane y = 0 and close both ends.

    Args:
        path: (P, 3), metres.
        half_widths: (P, 2), semi-axes of the ellipse along y and across the path, metres.
        colours: P − 1 colours, one per segment.
        sides: vertices of the ellipse.
    """
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    along_y = np.array([0.0, 1.0, 0.0])
    across = np.cross(tangent, along_y)
    angles = np.arange(sides) * (2 * np.pi / sides)
    ring = (
        half_widths[:, :1, None] * np.cos(angles)[:, None] * along_y
        + half_widths[:, 1:, None] * np.sin(angles)[:, None] * across[:, None]
    )
    rings = path[:, None] + ring  # (P, sides, 3)
    ends = [np.repeat(path[:1, None], sides, axis=1), rings, np.repeat(path[-1:, None], sides, axis=1)]
    vertices = np.concatenate(ends).reshape(-1, 3)
    faces = _grid_faces(len(path) + 2, sides)
    every = [colours[0], *colours, colours[-1]]
    face_colours = np.repeat(np.array(every), 2 * sides, axis=0)
    return _without_slivers(Solid(vertices, faces, face_colours))


def together(*solids: Solid) -> Solid:
    """Combine closed surfaces, which may overlap, as a handle's ends do with the wall."""
    starts = np.cumsum([0] + [len(solid.vertices) for solid in solids])
    return Solid(
        np.concatenate([solid.vertices for solid in solids]),
        np.concatenate([solid.faces + start for solid, start in zip(solids, starts, strict=False)]),
        np.concatenate([solid.face_colours for solid in solids]),
    )


def _grid_faces(rows: int, columns: int) -> NDArray[np.int64]:
    """Two triangles for each cell of a grid of vertices whose columns wrap around."""
    index = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(index, -1, axis=1)
    a, b, c, d = index[:-1], right[:-1], right[1:], index[1:]
    return np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], axis=-2).reshape(-1, 3)


def _without_slivers(solid: Solid) -> Solid:
    """Merge coincident vertices (such as the ring at the axis) and remove degenerate faces."""
    _, first, welded = np.unique(solid.vertices.round(9), axis=0, return_index=True, return_inverse=True)
    faces = welded.reshape(-1)[solid.faces]
    kept = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return Solid(solid.vertices[first], faces[kept], solid.face_colours[kept])
