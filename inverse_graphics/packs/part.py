"""What the readers of mesh files share: parts with materials, bounds, polygons, and errors of one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.errors import AssetError

MAX_FACES = 200_000
DEFAULT_COLOUR = (0.7, 0.7, 0.7)
"""Of whatever its file gives no colour."""

ALTERNATIVE = "or give a 'colour' or a 'texture' in pack.yaml"
"""What can be done where a material or an image cannot be used."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Wrap = Literal["repeat", "clamp", "mirror"]
Real = TypeVar("Real", np.float32, np.float64)


class MeshFileError(AssetError):
    """A mesh file that is broken, or beyond the bounds of a pack's object; its text is one line."""


@dataclass(frozen=True)
class TextureImage:
    """An image that a file names or holds; it is fetched when it is needed.

    Attributes:
        name: For messages, such as "texture 'skin.png'".
        read: Gives the bytes of the image file.
    """

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Material:
    """The appearance of a part. Colours are image values: sRGB in [0, 1].

    Attributes:
        colour: Of the surface; an image is multiplied by it in linear light.
        image: Its texture.
        emission: Light of its own, added in linear light.
        emission_image: Multiplies `emission`; it has the texture coordinates of `image`.
        wrap: How the texture goes on beyond [0, 1] in u and in v.
        nearest: Whether the texture's pixels stay sharp when they are magnified.
        alpha_cut: The surface is cut away where the image's alpha is less, or nowhere if None.
    """

    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    image: TextureImage | None = None
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emission_image: TextureImage | None = None
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
    nearest: bool = False
    alpha_cut: float | None = None


@dataclass(frozen=True)
class Part:
    """F triangles with one material; what belongs to a corner stays with it.

    Attributes:
        corners: (F, 3, 3), in the file's unit and axes, counter-clockwise seen from outside.
        colours: (F, 3, 3), image values in [0, 1], or None; they multiply those of the material.
        uv: (F, 3, 2), v pointing up, or None.
        material: None where the file gives none.
    """

    corners: Floats
    colours: Floats | None = None
    uv: Floats | None = None
    material: Material | None = None


@dataclass(frozen=True)
class Parts:
    """The content of a mesh file, and what of it cannot be shown as its maker meant it."""

    parts: list[Part]
    remarks: tuple[str, ...] = ()


def check_bound(what: str, count: int, bound: int) -> None:
    """Refuse a negative count, or one beyond its bound.

    Raises:
        MeshFileError: it is.
    """
    if not 0 <= count <= bound:
        raise MeshFileError(f"it has {count:,} {what}: expected at most {bound:,}; simplify it")


def check_faces(count: int) -> None:
    """Refuse too many triangles.

    Raises:
        MeshFileError: it is.
    """
    if count > MAX_FACES:
        raise MeshFileError(f"the mesh has more than {MAX_FACES:,} faces: simplify it")


def decode_text(content: bytes) -> str:
    """Text in UTF-8, with or without a byte order mark, UTF-16 with one, or else Latin-1; lines end in LF."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def from_linear(light: NDArray[Real]) -> NDArray[Real]:
    """Linear light as image values, both in [0, 1] (the sRGB transfer function, IEC 61966-2-1)."""
    light = np.clip(light, 0.0, 1.0)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.where(light == 1, 1.0, values)  # exactly, so that white leaves a texture as it is


def to_linear(values: NDArray[Real]) -> NDArray[Real]:
    """Image values as linear light, both in [0, 1]."""
    values = np.clip(values, 0.0, 1.0)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def triangulate(polygons: Ints, counts: Ints, positions: Floats) -> tuple[Ints, Ints]:
    """Cut polygons into triangles: fans where they are convex, by ear clipping where they are not.

    (Meisters 1975, "Polygons have ears".)

    Args:
        polygons: The vertices of all polygons one after the other, indices into `positions`.
        counts: (P,), how many of them each polygon has.
        positions: (V, 3).

    Returns:
        Triangles (F, 3) as places in `polygons`, and the polygon (F,) of each.

    Raises:
        MeshFileError: A vertex that is not there, or more than 200,000 triangles.
    """
    check_faces(int(np.maximum(counts - 2, 0).sum()))
    check_vertices(polygons, len(positions))
    starts, clipped = np.cumsum(counts) - counts, 0
    triangles, owners = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for sides in np.unique(counts[counts > 2]).tolist():
        chosen = np.flatnonzero(counts == sides)
        places = starts[chosen, None] + np.arange(sides)
        fans = np.stack([np.zeros(sides - 2, np.int64), np.arange(1, sides - 1), np.arange(2, sides)], -1)
        cut = np.broadcast_to(fans, (len(chosen), sides - 2, 3))
        if sides > 3:
            cut = cut.copy()
            wrong = _not_fans(positions[polygons[places]])
            clipped += sides * len(wrong) if sides > 4 else 0
            check_bound("corners in faces that are not convex", clipped, MAX_CONCAVE_CORNERS)
            if sides == 4:
                cut[wrong] = [[1, 2, 3], [1, 3, 0]]  # one of the two diagonals lies inside
            else:
                for row in wrong.tolist():
                    cut[row] = _clip_ears(positions[polygons[places[row]]])
        triangles.append(np.take_along_axis(places[:, None, :], cut, axis=2).reshape(-1, 3))
        owners.append(np.repeat(chosen, sides - 2))
    joined, owner = np.concatenate(triangles), np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return joined[order], owner[order]


def check_vertices(indices: Ints, vertices: int) -> None:
    """Refuse indices of vertices that are not there.

    Raises:
        MeshFileError: it is.
    """
    if indices.size and (indices.min() < 0 or indices.max() >= vertices):
        wrong = int(indices.min() if indices.min() < 0 else indices.max())
        raise MeshFileError(f"a face names vertex {wrong}, counted from 0: the mesh has {vertices} vertices")


MAX_CONCAVE_CORNERS = 20_000
MAX_CORNERS_TO_CLIP = 2000


def _not_fans(corners: Floats) -> Ints:
    """Which polygons (P, N, 3) are not the union of the triangles at their first corner."""
    with np.errstate(all="ignore"):
        spokes = corners[:, 1:] - corners[:, :1]
        normals = np.cross(spokes[:, :-1], spokes[:, 1:])
        along = np.einsum("pni,pi->pn", normals, normals.sum(axis=1))
        wrong = (along < -1e-9 * np.abs(along).max(axis=1, keepdims=True)).any(axis=1)
    return np.flatnonzero(wrong)


def _clip_ears(corners: Floats) -> Ints:
    """Triangles (N − 2, 3) of a simple polygon (N, 3)."""
    check_bound("corners in a face that is not convex", len(corners), MAX_CORNERS_TO_CLIP)
    plane = _in_its_plane(corners)
    left, triangles = list(range(len(plane))), []
    while len(left) > 3:
        ring = plane[left]
        before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
        area = _cross(ring - before, after - ring)
        reflex = ring[area <= 0]
        convex = np.flatnonzero(area > 0).tolist()
        ears = (i for i in convex if _is_empty(before[i], ring[i], after[i], reflex))
        ear = next(ears, int(area.argmax()))  # of a polygon that crosses itself, any corner
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return np.array([*triangles, left], np.int64)


def _in_its_plane(corners: Floats) -> Floats:
    """The polygon (N, 2), counter-clockwise, along the axis that its normal is nearest to."""
    with np.errstate(all="ignore"):
        corners = corners - corners[0]
        normal = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
    normal = np.nan_to_num(normal)
    axis = int(np.abs(normal).argmax())
    first, second = ((1, 2), (2, 0), (0, 1))[axis]
    flat = np.nan_to_num(corners[:, [first, second]])
    return flat if normal[axis] > 0 else flat * [-1.0, 1.0]


def _cross(first: Floats, second: Floats) -> Floats:
    area: Floats = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    return area


def _is_empty(a: Floats, b: Floats, c: Floats, others: Floats) -> bool:
    """Whether none of the points (N, 2) lies in the triangle or on it, but at its corners."""
    inside = np.ones(len(others), bool)
    for start, stop in ((a, b), (b, c), (c, a)):
        inside &= (_cross(stop - start, others - start) >= 0) & (others != start).any(axis=1)
    return not inside.any()
