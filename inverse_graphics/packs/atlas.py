"""From parts with materials to one coloured soup with at most one texture.

A texture that all parts share and that repeats is used as it is. Otherwise the textures are put side by
side into one: every triangle is cut where its texture begins anew, so that its pieces lie within one copy,
and every copy has a border of what comes after its edge, so that filters find there what they would have
found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.errors import AssetError
from inverse_graphics.packs.part import (
    DEFAULT_COLOUR,
    MAX_FACES,
    Floats,
    Material,
    Part,
    Real,
    TextureImage,
    Wrap,
    check_bound,
    check_faces,
    from_linear,
    to_linear,
)
from inverse_graphics.packs.surface import TriangleSoup
from inverse_graphics.packs.texture import Texels, read_texture

Image3 = NDArray[np.float32]

MAX_UV = 1e6
MAX_TEXELS = 70_000_000
MAX_ATLAS_SIDE = 8192
MAX_ATLAS_TEXELS = 20_000_000
BORDER = 16
SLOT = 32
"""Tiles begin at multiples of this many texels: down to that size no mip level mixes two."""
SHARP_SIDE = 1024
"""Images that are not smoothed are magnified up to this."""
GREY_REMARK = (
    f"what its files give no colour is drawn in grey {DEFAULT_COLOUR}: give it a 'colour' in the manifest"
)


@dataclass(frozen=True)
class MergedParts:
    """A soup with at most one texture (Ht, Wt, 3), and what is not shown as its maker meant it."""

    soup: TriangleSoup
    texture: Image3 | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Tile:
    """A texture as it is shown: with its material's colour and emission in it."""

    rgb: Image3
    alpha: NDArray[np.float32] | None
    wrap: tuple[Wrap, Wrap]


_Faces = Floats
"""Corners (3), colours (3) and uv (2) side by side, (F, 3, 8), so that all are cut alike."""


def merge_parts(parts: Sequence[Part]) -> MergedParts:
    """Join parts.

    Raises:
        AssetError: A texture that cannot be used, a textured part without texture coordinates, or one that
            repeats so often that its pieces are too many.
    """
    images: dict[bytes, Texels] = {}
    tiles: dict[bytes, _Tile] = {}
    faces, keys, remarks = [], [], []
    for part in parts:
        material = part.material or Material(
            colour=(1.0, 1.0, 1.0) if part.colours is not None else DEFAULT_COLOUR
        )
        if part.material is None and part.colours is None:
            remarks.append(GREY_REMARK)
        key = None
        if material.image or material.emission_image:
            key, tile = _tile(material, images)
            tiles[key] = tile
            texels = sum(tile.rgb.shape[0] * tile.rgb.shape[1] for tile in tiles.values())
            check_bound("texels in its textures", texels, MAX_TEXELS)
        faces.append(_faces(part, material, key is not None))
        keys.append(key)
        if key and material.alpha_cut is not None and (alpha := tiles[key].alpha) is not None:
            faces[-1] = _cut_out(_wrapped(faces[-1], tiles[key].wrap), alpha, material.alpha_cut)
    if not tiles:
        texture = None
    elif None not in keys and len(tiles) == 1 and _usable_as_it_is(next(iter(tiles.values())), faces):
        texture = next(iter(tiles.values())).rgb
    else:
        faces, texture, smaller = _atlas(faces, keys, tiles)
        remarks += [f"its textures are reduced to 1/{smaller} of their size"] if smaller > 1 else []
    check_faces(sum(map(len, faces)))
    joined = _separate_back_to_back(np.concatenate(faces))
    soup = TriangleSoup(joined[..., :3], joined[..., 3:6], None if texture is None else joined[..., 6:])
    return MergedParts(soup, texture, tuple(dict.fromkeys(remarks)))


def _faces(part: Part, material: Material, textured: bool) -> _Faces:
    faces = np.zeros((len(part.corners), 3, 8))
    faces[..., :3] = part.corners
    if textured:
        if part.uv is None or not (np.abs(part.uv) <= MAX_UV).all():
            raise AssetError(
                "it has a texture but not everywhere texture coordinates, from -1,000,000 to 1,000,000: "
                "add them, or drop the texture"
            )
        faces[..., 3:6] = 1.0 if part.colours is None else part.colours
        faces[..., 6:] = part.uv
    else:
        own = np.ones(3) if part.colours is None else part.colours
        faces[..., 3:6] = _coloured(own, material.colour, material.emission, np.ones(1))
    return faces


def _coloured(
    values: NDArray[Real], colour: tuple[float, ...], emission: tuple[float, ...], light: NDArray[Real]
) -> NDArray[Real]:
    """Image values times a colour plus an emission times `light`, in linear light; unchanged ones exactly."""
    if not any(emission):
        if colour == (1.0, 1.0, 1.0):
            return values
        if values.ndim == 1 and (values == 1).all():
            return np.array(colour, values.dtype)
    factor, own = (to_linear(np.array(rgb, values.dtype)) for rgb in (colour, emission))
    return from_linear(to_linear(values) * factor + own * light)


def _tile(material: Material, images: dict[bytes, Texels]) -> tuple[bytes, _Tile]:
    """The texture of a material, and a key that equal ones have in common."""
    settings = (material.colour, material.emission, material.wrap, material.nearest)
    digest = hashlib.sha256(repr(settings).encode())
    shown = []
    for image in (material.image, material.emission_image):
        texels = None
        if image is not None:
            content = hashlib.sha256(_read_bytes(image)).digest()
            digest.update(content)
            texels = images[content] = images.get(content) or read_texture(image)
        digest.update(b"/")
        shown.append(texels)
    base, emission = shown
    rgb = np.ones((1, 1, 3), np.float32) if base is None else base.rgb
    light = np.ones((1, 1, 3), np.float32) if emission is None else to_linear(emission.rgb)
    if emission is not None and emission.rgb.shape != rgb.shape:
        larger = max(rgb.shape[:2], emission.rgb.shape[:2])
        rgb, light = _resized(rgb, larger), _resized(light, larger)
    rgb = _coloured(rgb, material.colour, material.emission, light)
    alpha = None if base is None else base.alpha
    if material.nearest:
        sharp = max(1, min(BORDER, SHARP_SIDE // max(rgb.shape[:2])))
        rgb = rgb.repeat(sharp, axis=0).repeat(sharp, axis=1)
    return digest.digest(), _Tile(rgb, alpha, material.wrap)


def _read_bytes(image: TextureImage) -> bytes:
    try:
        return image.read()
    except AssetError:
        raise
    except Exception as problem:  # what a stranger's file can hold has no end
        raise AssetError(f"{image.name} cannot be found in its file") from problem


def _resized(image: Image3, size: tuple[int, int]) -> Image3:
    """(H, W, 3) at another height and width."""
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(image[..., i])).resize(size[::-1], Image.Resampling.BOX)
        )
        for i in range(3)
    ]
    return np.stack(channels, axis=-1)


def _usable_as_it_is(tile: _Tile, faces: list[_Faces]) -> bool:
    """Whether a texture can be used as it is: it repeats, or what lies beyond its edges is never seen."""
    if tile.wrap == ("repeat", "repeat"):
        return True
    half = 0.5 / np.array(tile.rgb.shape[1::-1])
    return all(((part[..., 6:] >= half) & (part[..., 6:] <= 1 - half)).all() for part in faces)


def _wrapped(faces: _Faces, wrap: tuple[Wrap, Wrap]) -> _Faces:
    """Cut triangles where a texture begins anew, and bring each piece's coordinates into [0, 1]."""
    for axis in (0, 1):
        faces = _cut_at_integers(faces, 6 + axis, wrap[axis])
        values = faces[..., 6 + axis]
        if wrap[axis] == "clamp":
            folded = values.clip(0, 1)
        else:
            cell = np.floor(values.mean(axis=1, keepdims=True))
            folded = (values - cell).clip(0, 1)
            if wrap[axis] == "mirror":
                folded = np.where(cell % 2 == 1, 1 - folded, folded)
        faces = faces.copy()
        faces[..., 6 + axis] = folded
    return faces


def _cut_at_integers(faces: _Faces, column: int, wrap: Wrap) -> _Faces:
    """Cut triangles at whole numbers of a column until none reaches over one; clamped ones at 0 and 1."""
    done = [faces[:0]]
    while len(faces):
        low, high = faces[..., column].min(axis=1), faces[..., column].max(axis=1)
        slack = 1e-6 + 1e-9 * np.abs(low)
        line = np.round((low + high) / 2)
        line = np.where(line <= low + slack, np.floor(low + slack) + 1, line)
        if wrap == "clamp":
            line = np.where((low < -slack) & (high > slack), 0.0, 1.0)
        over = (line > low + slack) & (line < high - slack)
        done.append(faces[~over])
        faces = _clipped(faces[over], faces[over][..., column] - line[over, None])
        if sum(map(len, done)) + len(faces) > MAX_FACES:
            raise AssetError(
                f"its texture repeats so often that more than {MAX_FACES:,} pieces would be needed: "
                "repeat the image itself less often, or bake it"
            )
    return np.concatenate(done)


def _clipped(faces: _Faces, side: Floats) -> _Faces:
    """Cut triangles where `side` (F, 3), which has both signs in each, is 0: three pieces of each."""
    alone = np.where((side > 0).sum(axis=1) == 1, (side > 0).argmax(axis=1), (side <= 0).argmax(axis=1))
    order = (alone[:, None] + np.arange(3)) % 3
    a, b, c = np.take_along_axis(faces, order[..., None], axis=1).swapaxes(0, 1)
    at_a, at_b, at_c = np.take_along_axis(side, order, axis=1).T[..., None]
    p, q = a + at_a / (at_a - at_b) * (b - a), a + at_a / (at_a - at_c) * (c - a)
    pieces = [np.stack(corners, axis=1) for corners in ((a, p, q), (p, b, c), (p, c, q))]
    return np.concatenate(pieces)


MAX_CUT_OUT = MAX_FACES // 10
MAX_HALVINGS = 12


def _cut_out(faces: _Faces, alpha: NDArray[np.float32], cut: float) -> _Faces:
    """Leave what of triangles, with coordinates in [0, 1], lies where alpha is at least `cut`.

    Triangles across an edge of the mask are quartered until they are as small as a texel, and then cut along
    a straight line; earlier if they would be too many.
    """
    height, width = alpha.shape
    count = np.zeros((height + 1, width + 1), np.int64)
    count[1:, 1:] = (alpha >= cut).cumsum(axis=0).cumsum(axis=1)
    kept = [faces[:0]]
    for halving in range(MAX_HALVINGS + 1):
        x, y = faces[..., 6] * width - 0.5, (1 - faces[..., 7]) * height - 0.5
        left, right = (
            np.clip(v, 0, width - 1).astype(np.int64) for v in (np.floor(x.min(1)), np.ceil(x.max(1)))
        )
        top, bottom = (
            np.clip(v, 0, height - 1).astype(np.int64) for v in (np.floor(y.min(1)), np.ceil(y.max(1)))
        )
        there = (
            count[bottom + 1, right + 1] - count[top, right + 1] - count[bottom + 1, left] + count[top, left]
        )
        texels = (bottom - top + 1) * (right - left + 1)
        kept.append(faces[there == texels])
        across = (there > 0) & (there < texels)
        small = (np.ptp(x, axis=1) <= 1) & (np.ptp(y, axis=1) <= 1)
        if halving == MAX_HALVINGS or 4 * across.sum() + sum(map(len, kept)) > MAX_CUT_OUT:
            small |= True
        kept.append(_clip_to_mask(faces[across & small], alpha, cut))
        faces = _quartered(faces[across & ~small])
        if not len(faces):
            break
    return np.concatenate(kept)


def _quartered(faces: _Faces) -> _Faces:
    a, b, c = faces.swapaxes(0, 1)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate(
        [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )


def _clip_to_mask(faces: _Faces, alpha: NDArray[np.float32], cut: float) -> _Faces:
    """The part of each triangle where alpha, taken as linear in it, is at least `cut`."""
    side = _bilinear(alpha, faces[..., 6:]) - cut
    side = np.where(side == 0, 1e-12, side)
    over = (side > 0).sum(axis=1)
    mixed = (over > 0) & (over < 3)
    pieces = _clipped(faces[mixed], side[mixed])
    values = np.tile(over[mixed], 3) == 1  # the first third of the pieces lies on the side of one corner
    first = np.arange(len(pieces)) < mixed.sum()
    return np.concatenate([faces[over == 3], pieces[values == first]])


def _bilinear(alpha: NDArray[np.float32], uv: Floats) -> Floats:
    height, width = alpha.shape
    x = np.clip(uv[..., 0] * width - 0.5, 0, width - 1)
    y = np.clip((1 - uv[..., 1]) * height - 0.5, 0, height - 1)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    upper = alpha[top, left] * (1 - across) + alpha[top, right] * across
    lower = alpha[bottom, left] * (1 - across) + alpha[bottom, right] * across
    values: Floats = upper * (1 - down) + lower * down
    return values


def _atlas(
    faces: Sequence[_Faces], keys: Sequence[bytes | None], tiles: dict[bytes, _Tile]
) -> tuple[list[_Faces], Image3, int]:
    """Put the tiles into one texture; a white one is for parts without.

    Returns:
        The faces with coordinates in it, the texture, and by how much the tiles had to be reduced.
    """
    white = _Tile(np.ones((1, 1, 3), np.float32), None, ("clamp", "clamp"))
    wanted = {key: tiles[key] for key in keys if key is not None} | ({b"": white} if None in keys else {})
    sizes = {key: tile.rgb.shape[:2] for key, tile in wanted.items()}
    smaller = 1
    while True:
        slots = [_slot(height, width, smaller) for height, width in sizes.values()]
        corners, (height, width) = _shelves(slots)
        if max(height, width) <= MAX_ATLAS_SIDE and height * width <= MAX_ATLAS_TEXELS:
            break
        smaller *= 2
    texture = np.full((height, width, 3), 1, np.float32)
    texture[:] = np.mean([tile.rgb.mean(axis=(0, 1)) for tile in wanted.values()], axis=0)
    placed: dict[bytes, tuple[Floats, Floats]] = {}
    for (key, tile), slot, (top, left) in zip(wanted.items(), slots, corners, strict=True):
        small = _reduced(tile.rgb.shape[0], tile.rgb.shape[1], smaller)
        rgb = tile.rgb if smaller == 1 else _resized(tile.rgb, small)
        texture[top : top + slot[0], left : left + slot[1]] = _bordered(rgb, slot, tile.wrap)
        extent = np.array([small[1] / width, small[0] / height])
        start = np.array([(left + BORDER) / width, 1 - (top + BORDER + small[0]) / height])
        placed[key] = (start, extent)
    moved = []
    for part, name in zip(faces, keys, strict=True):
        key = name or b""
        start, extent = placed[key]
        pieces = _wrapped(part, tiles[key].wrap) if key else part.copy()
        pieces[..., 6:] = start + extent * (pieces[..., 6:] if key else 0.5)
        moved.append(pieces)
    return moved, texture, smaller


def _reduced(height: int, width: int, smaller: int) -> tuple[int, int]:
    return max(1, height // smaller), max(1, width // smaller)


def _slot(height: int, width: int, smaller: int) -> tuple[int, int]:
    """The height and width of a tile with its border."""
    height, width = _reduced(height, width, smaller)
    return -(-(height + 2 * BORDER) // SLOT) * SLOT, -(-(width + 2 * BORDER) // SLOT) * SLOT


def _shelves(slots: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """The top left corners of slots in rows, the highest first, and the size of it all."""
    breadth = max(*(width for _, width in slots), int(np.sqrt(sum(h * w for h, w in slots))))
    corners, top, left, shelf, right = {}, 0, 0, 0, 0
    for i in sorted(range(len(slots)), key=lambda i: -slots[i][0]):
        height, width = slots[i]
        if left and left + width > breadth:
            top, left, shelf = top + shelf, 0, 0
        corners[i] = (top, left)
        left, shelf = left + width, max(shelf, height)
        right = max(right, left)
    return [corners[i] for i in range(len(slots))], (top + shelf, right)


def _bordered(rgb: Image3, slot: tuple[int, int], wrap: tuple[Wrap, Wrap]) -> Image3:
    """A tile with what comes after its edges around it, to the size of its slot."""
    modes: dict[Wrap, Literal["wrap", "edge", "symmetric"]]
    modes = {"repeat": "wrap", "clamp": "edge", "mirror": "symmetric"}
    for axis, way in ((0, wrap[1]), (1, wrap[0])):
        border = [(0, 0)] * 3
        border[axis] = (BORDER, slot[axis] - rgb.shape[axis] - BORDER)
        rgb = np.pad(rgb, border, mode=modes[way])
    return rgb


MAX_COORDINATE = 1e30
SEPARATION = 2e-5
"""How far apart faces of opposite sides are put that lie on each other, as a share of the size."""


def _separate_back_to_back(faces: _Faces) -> _Faces:
    """Move triangles that lie on each other back to back with different colours, a little to their fronts."""
    corners = faces[..., :3]
    if len(faces) < 2 or np.abs(corners).max() > MAX_COORDINATE:  # the unit's check refuses it later
        return faces
    size = float(np.ptp(corners.reshape(-1, 3), axis=0).max()) or 1.0
    places = np.unique(np.round(corners.reshape(-1, 3) / (size * 1e-6)), axis=0, return_inverse=True)[1]
    index = places.reshape(-1, 3)
    _, group, members = np.unique(np.sort(index, axis=1), axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    if (members <= 1).all():
        return faces
    first = np.take_along_axis(index, (index.argmin(axis=1)[:, None] + np.arange(3)) % 3, axis=1)
    backward = first[:, 1] > first[:, 2]
    appearance = np.unique(faces[..., 3:].sum(axis=1).round(9), axis=0, return_inverse=True)[1].reshape(-1)
    both = np.bincount(group, backward) % np.maximum(members, 1) > 0
    differs = np.zeros(len(members), bool)
    low, high = np.full(len(members), len(appearance)), np.full(len(members), -1)
    np.minimum.at(low, group, appearance)
    np.maximum.at(high, group, appearance)
    differs = low < high
    chosen = (both & differs)[group]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    faces = faces.copy()
    faces[chosen, :, :3] += (SEPARATION * size) * normals[chosen, None]
    return faces
