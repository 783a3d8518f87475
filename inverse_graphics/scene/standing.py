"""Whether the objects of a scene stand on its table: how low they reach, what floats, sinks or intersects."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.scene.batch import ObjectBatch, SceneBatch
from inverse_graphics.scene.scene import Scene

TOLERANCE_M = 0.002
"""By how much objects may float, sink or intersect without a warning."""
PAIRS_AT_ONCE = 1 << 20
"""Edges times faces that are tested together."""

Points = NDArray[np.float64]


def box_heights(objects: ObjectBatch, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Bound how low and how high objects reach, by boxes about them; exact for upright ones.

    Args:
        objects: N object slots of each of B scenes.
        boxes: (M, 2, 3) from `MeshLibrary.boxes`.

    Returns:
        The least and greatest z, (B, N) each, metres, world; undefined for empty slots.
    """
    own = boxes[objects.asset.clamp(min=0)] * objects.scale[..., None, None]
    along = objects.rotation[..., 2, None, :] * own  # (B, N, 2, 3)
    height = objects.position[..., 2]
    return height + along.amin(-2).sum(-1), height + along.amax(-2).sum(-1)


def standing_heights(library: MeshLibrary) -> Tensor:
    """How far each mesh's origin is above its lowest point: (M,), metres; less than 1 µm counts as 0."""
    height = -library.boxes()[:, 0, 2]
    return torch.where(height.abs() < 1e-6, 0.0, height)


def placement_warnings(scene: Scene, library: MeshLibrary) -> tuple[str, ...]:
    """Find objects that float, sink into the table, or intersect each other, by more than 2 mm.

    An object floats if its lowest point is above the table and it touches no object below it. Intersections
    are those of surfaces, so that a mug may stand in a bowl; an object inside a closed one intersects it.

    Args:
        scene: with or without a table; without one nothing floats or sinks.
        library: of its objects, at least.

    Returns:
        One sentence for each.
    """
    solids = _solids(scene, library)
    warnings = []
    for solid in solids if scene.table is not None else ():
        lowest = float(solid.vertices[:, 2].min())
        if lowest < -TOLERANCE_M and _over_table(solid, scene):
            warnings.append(f"{solid.name} sinks {_length(-lowest)} into the table")
        elif lowest > TOLERANCE_M and not any(_carries(other, solid) for other in solids):
            warnings.append(f"{solid.name} floats {_length(lowest)} above the table")
    pairs = [pair for pair in combinations(solids, 2) if _intersect(*pair)]
    return (*warnings, *(f"{one.name} and {other.name} intersect" for one, other in pairs))


class _Solid(NamedTuple):
    """An object in the world: its name, vertices (V, 3) in metres, and faces (F, 3)."""

    name: str
    vertices: Points
    faces: NDArray[np.int64]


def _solids(scene: Scene, library: MeshLibrary) -> list[_Solid]:
    objects = SceneBatch.from_scenes([scene], library).objects.to("cpu", torch.float64)
    solids = []
    for slot, index in enumerate(objects.asset[0].tolist()):
        mesh = library.mesh(index)
        rotation, scale = objects.rotation[0, slot].numpy(), float(objects.scale[0, slot])
        vertices = scale * mesh.vertices.astype(np.float64) @ rotation.T + objects.position[0, slot].numpy()
        solids.append(_Solid(f"object {slot + 1}, {library.names[index]},", vertices, mesh.faces))
    return solids


def _length(metres: float) -> str:
    return f"{1000 * metres:.0f} mm"


def _over_table(solid: _Solid, scene: Scene) -> bool:
    """Whether some of it is above or below the rectangle of the table."""
    assert scene.table is not None
    half = np.array(scene.table.size_m) / 2
    low, high = solid.vertices[:, :2].min(0), solid.vertices[:, :2].max(0)
    return bool((low < half).all() and (high > -half).all())


def _carries(below: _Solid, above: _Solid) -> bool:
    """Whether moving `above` down by twice the tolerance makes it meet the surface of another object."""
    return below is not above and _cross(below, above, np.array([0.0, 0.0, -2 * TOLERANCE_M]))


def _intersect(one: _Solid, other: _Solid) -> bool:
    """Whether the surfaces meet, and still do after a move by the tolerance along any axis or apart."""
    if not _cross(one, other, np.zeros(3)):
        return _inside(one, other) or _inside(other, one)
    apart = other.vertices.mean(0) - one.vertices.mean(0)
    ways = [*np.eye(3), *-np.eye(3), apart / max(float(np.linalg.norm(apart)), 1e-12)]
    return all(_cross(one, other, TOLERANCE_M * way) for way in ways)


def _cross(one: _Solid, other: _Solid, move: Points) -> bool:
    """Whether an edge of one surface passes through a face of the other, which is moved by `move`."""
    first, second = one.vertices, other.vertices + move
    low, high = np.maximum(first.min(0), second.min(0)), np.minimum(first.max(0), second.max(0))
    if (low > high).any():
        return False
    triangles = _near(first[one.faces], low, high), _near(second[other.faces], low, high)
    return _pierces(*triangles) or _pierces(*triangles[::-1])


def _near(triangles: Points, low: Points, high: Points) -> Points:
    """Those whose boxes meet a box: (n, 3, 3)."""
    meets = (triangles.min(1) <= high).all(-1) & (triangles.max(1) >= low).all(-1)
    return triangles[meets]


def _pierces(of: Points, triangles: Points) -> bool:
    """Whether an edge of the first triangles passes through one of the second (Möller and Trumbore 1997)."""
    start, along = of.reshape(-1, 3), (of[:, [1, 2, 0]] - of).reshape(-1, 3)
    rows = max(1, PAIRS_AT_ONCE // max(len(triangles), 1))
    return any(
        _hits(start[a : a + rows], along[a : a + rows], triangles).any() for a in range(0, len(start), rows)
    )


def _hits(start: Points, along: Points, triangles: Points) -> NDArray[np.bool_]:
    """Which segments hit which triangles: (segments, triangles)."""
    corner = triangles[:, 0]
    side, other_side = triangles[:, 1] - corner, triangles[:, 2] - corner
    across = np.cross(along[:, None], other_side)
    determinant = (across * side).sum(-1)
    parallel = np.abs(determinant) < 1e-18
    inverse = 1 / np.where(parallel, 1.0, determinant)
    offset = start[:, None] - corner
    u = (offset * across).sum(-1) * inverse
    normal = np.cross(offset, side)
    v = (along[:, None] * normal).sum(-1) * inverse
    place = (normal * other_side).sum(-1) * inverse
    return ~parallel & (u >= 0) & (v >= 0) & (u + v <= 1) & (place >= 0) & (place <= 1)


def _inside(one: _Solid, other: _Solid) -> bool:
    """Whether an object whose surface meets no other lies in a closed one: by the parity of a ray's hits."""
    low, high = other.vertices.min(0), other.vertices.max(0)
    if (one.vertices.min(0) < low).any() or (one.vertices.max(0) > high).any():
        return False
    ray = np.array([[0.3391, 0.2713, 0.9007]]) * 2 * np.linalg.norm(high - low)
    return int(_hits(one.vertices[:1], ray, other.vertices[other.faces]).sum()) % 2 == 1
