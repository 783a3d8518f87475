"""Where the origin of an object lies: at its base, at its centre, or as its file has it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

Floats = NDArray[np.float64]
Origin = Literal["file", "base", "centre"] | tuple[float, float, float]

BASE_HEIGHT = 0.1
"""What lies lower than this share of an object's height is its base."""


def origin_of(corners: Floats, origin: Origin) -> Floats:
    """Find the point of an object that becomes its origin.

    Args:
        corners: (F, 3, 3), triangles in metres, Z up, in the file's own frame.
        origin: "file" for the file's own; "base" for the lowest height below the centre of the base, which
            is the centroid of the convex hull of its lowest tenth seen from above; "centre" for the centroid
            of its surface; or a point, metres, in the file's own frame.

    Returns:
        (3,), metres, in the file's own frame.
    """
    if origin == "file":
        return np.zeros(3)
    if origin == "centre":
        return surface_centroid(corners)
    if origin == "base":
        return _base(corners.reshape(-1, 3))
    return np.array(origin, float)


def surface_centroid(corners: Floats) -> Floats:
    """The mean position (3,) on the surface of triangles (F, 3, 3); of their corners if they have no area."""
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(crossed, axis=1)
    weights = areas if areas.sum() > 0 else np.ones_like(areas)
    centroid: Floats = np.average(corners.mean(axis=1), axis=0, weights=weights)
    return centroid


def _base(points: Floats) -> Floats:
    low, high = points[:, 2].min(), points[:, 2].max()
    flat = points[points[:, 2] <= low + BASE_HEIGHT * (high - low), :2]
    try:
        ring = flat[ConvexHull(flat).vertices]
    except QhullError:  # a point, or all of them on a line
        ring = np.stack([flat.min(axis=0), flat.max(axis=0)])
    return np.append(_polygon_centroid(ring), low)


def _polygon_centroid(ring: Floats) -> Floats:
    """The centroid (2,) of a convex polygon (V, 2)."""
    middle = ring.mean(axis=0)
    first, second = ring - middle, np.roll(ring, -1, axis=0) - middle
    areas = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    if not areas.sum():
        return middle
    centroid: Floats = middle + areas @ (first + second) / (3 * areas.sum())
    return centroid
