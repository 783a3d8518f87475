"""Checks of surfaces: depth, colour, texture, light, and self-occlusion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.rendering.conformance.shapes import Bools, Floats, ball, box, card, joined, mesh
from inverse_graphics.rendering.conformance.tolerance import (
    Check,
    EngineFactory,
    Tolerance,
    require,
    require_near,
)
from inverse_graphics.rendering.conformance.views import View, draw, library, light, objects, to_numpy

RED, GREEN, BLUE, YELLOW = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.2, 0.9), (0.9, 0.8, 0.1)
COVERED = 0.999


def check_depth(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Depth is the distance along the camera's z axis, of a slanted card and a sphere; +inf beside them."""
    view, position = View(), np.array([0.02, -0.01, 1.0])
    slant = _about_x(0.9)
    layers = draw(make_engine, card(0.5, 0.5), [position], view, slant)
    normal = slant[:, 2]
    plane = (normal @ position) / (view.rays() @ normal)
    _compare_depth(
        to_numpy(layers.depth)[0, 0], plane, _interior(to_numpy(layers.alpha)[0, 0]), tolerance.depth
    )
    layers = draw(make_engine, ball(0.3, 4), [position], view)
    sphere = _ball_depth(view, position, 0.3)
    middle = np.isfinite(sphere) & (sphere < 0.85)  # away from the rim, where facets and sphere differ
    _compare_depth(to_numpy(layers.depth)[0, 0], sphere, middle, tolerance.depth + 1e-3)
    beside = to_numpy(layers.alpha)[0, 0] == 0
    require(
        bool(np.isposinf(to_numpy(layers.depth)[0, 0][beside]).all()), "depth beside an object is not +inf"
    )


def check_self_occlusion(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """A handle in front of its body is visible, and hidden behind it."""
    mug = joined((box([0.3, 0.3, 0.2], GREEN), (0, 0, 0)), (box([0.1, 0.1, 0.02], RED), (0, 0, -0.15)))
    for rotation, expected in ((np.eye(3), RED), (_about_x(np.pi), GREEN)):
        layers = draw(make_engine, mug, [[0, 0, 1.0]], rotation=rotation)
        seen = to_numpy(layers.rgb)[0, 0, :, 23:25, 23:25].reshape(3, -1)
        off = float(np.abs(seen - np.array(expected)[:, None]).max())
        require_near(off, 0.0, tolerance.colour, "colour of the nearer part of an object, off by")
        require(float(layers.alpha[0, 0, 23:25, 23:25].min()) > COVERED, "an object shows through itself")
    slot = to_numpy(draw(make_engine, _frame(), [[0, 0, 1.0]]).alpha)[0, 0]
    require(float(slot[22:26, 22:26].max()) < 1e-3, "the hole of a frame is not seen through")


def check_textures(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Row 0 of a texture is its top (v = 1), column 0 its left (u = 0); albedo is colour times texture."""
    quarters = np.array([[RED, GREEN], [BLUE, YELLOW]])
    texture = quarters.repeat(16, axis=0).repeat(16, axis=1)
    for tint in (1.0, 0.5):
        rgb = to_numpy(draw(make_engine, _textured(texture, tint), [[0, 0, 1.0]]).rgb)[0, 0]
        places = ((18, 18, RED), (18, 30, GREEN), (30, 18, BLUE), (30, 30, YELLOW))
        for row, column, colour in places:
            off = float(np.abs(rgb[:, row, column] - tint * np.array(colour)).max())
            what = f"texture at row {row}, column {column} of the image, colour off by"
            require_near(off, 0.0, tolerance.colour, what)


def check_vertex_colours(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Colours are linear over a triangle in space, not in the image."""
    view, position = View(), np.array([0.0, 0.0, 1.0])
    corners = np.array([[-0.3, -0.3, -0.3], [0.3, 0.3, 0.4], [-0.3, 0.3, 0.4]])
    colours = np.array([RED, GREEN, BLUE])
    layers = draw(make_engine, mesh(corners, [[0, 1, 2]], colours), [position], view)
    share = np.einsum("ij,hwj->hwi", np.linalg.inv((corners + position).T), view.rays())
    share /= share.sum(axis=-1, keepdims=True)
    expected = np.einsum("hwi,ic->chw", share, colours)
    inner = _interior(to_numpy(layers.alpha)[0, 0]) & (share.min(axis=-1) > 0.02)
    require(int(inner.sum()) > 50, "a triangle in full view covers almost nothing")
    off = np.abs(to_numpy(layers.rgb)[0, 0] - expected)[:, inner].max()
    require_near(float(off), 0.0, tolerance.colour, "colours over a slanted triangle, off by")


def check_light_direction(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """A Lambertian sphere has the colour ambient + diffuse · max(0, n · l), whatever its orientation."""
    view, position, radius = View(), np.array([0.0, 0.0, 1.0]), 0.3
    points = view.rays() * _ball_depth(view, position, radius)[..., None]
    normal = (points - position) / radius
    facing = np.nan_to_num(-(normal * view.rays()).sum(axis=-1), nan=-1.0)
    for towards in ((1.0, 0.0, -0.5), (0.0, -1.0, -0.3), (0.5, 0.4, -1.0)):
        shine = light(1, towards, diffuse=0.7, ambient=0.2)
        layers = draw(make_engine, ball(radius, 4), [position], view, _about_x(0.4), shine)
        cosine = normal @ (np.array(towards) / np.linalg.norm(towards))
        expected = 0.2 + 0.7 * np.maximum(0.0, cosine)
        off = np.abs(to_numpy(layers.rgb)[0, 0] - expected)[:, facing > 0.4].max()
        require_near(float(off), 0.0, tolerance.colour + 0.01, f"colour of a ball lit from {towards}, off by")


def check_tint_and_scale(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Tint multiplies the albedo; twice the size at twice the distance gives the same outline."""
    engine, camera = make_engine(library(box(colour=YELLOW))), View().camera(2)
    placed = objects([[0], [0]], [[[0.03, 0.01, 0.9]], [[0.06, 0.02, 1.8]]], scale=[[1.0], [2.0]])
    tint = torch.tensor([[[1.0, 1.0, 1.0]], [[0.5, 1.0, 0.0]]])
    with torch.no_grad():
        layers = engine.layers(replace(placed, tint=tint), camera, light(2))
    gap = float((layers.alpha[0] - layers.alpha[1]).abs().max())
    require_near(gap, 0.0, 100 * tolerance.repeat, "twice as large and twice as far: alpha differs by")
    off = float((layers.rgb[0] * tint[1, :, :, None, None] - layers.rgb[1]).abs().max())
    require_near(off, 0.0, tolerance.colour, "colour of a tinted object, off by")


def _compare_depth(found: Floats, expected: Floats, where: Bools, within: float) -> None:
    require(int(where.sum()) > 50, "an object in full view covers almost nothing")
    error = np.abs(found[where] / expected[where] - 1).max()
    require_near(float(error), 0.0, within, "relative error of depth")


def _interior(alpha: Floats) -> Bools:
    """Pixels that are covered, as are all eight about them; (H, W) of bool."""
    padded = np.pad(alpha > COVERED, 1)
    shape = alpha.shape
    around = [padded[i : i + shape[0], j : j + shape[1]] for i in range(3) for j in range(3)]
    inner: Bools = np.logical_and.reduce(around)
    return inner


def _ball_depth(view: View, centre: Floats, radius: float) -> Floats:
    """Depth at which rays meet a ball, (H, W); NaN where they miss it."""
    rays = view.rays()
    a, b = (rays**2).sum(axis=-1), rays @ centre
    under = b**2 - a * (centre @ centre - radius**2)
    depth: Floats = (b - np.sqrt(np.where(under >= 0, under, np.nan))) / a
    return depth


def _about_x(angle: float) -> Floats:
    """Rotation about x by an angle in radians, (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _frame() -> Mesh:
    """A square with a square hole."""
    bar, post = box([0.4, 0.1, 0.02]), box([0.1, 0.2, 0.02])
    return joined((bar, (0, 0.15, 0)), (bar, (0, -0.15, 0)), (post, (0.15, 0, 0)), (post, (-0.15, 0, 0)))


def _textured(texture: Floats, albedo: float) -> Mesh:
    """A card whose texture is upright for a camera with the world's axes."""
    x = 0.2
    corners = np.array([[-x, -x, 0], [x, -x, 0], [x, x, 0], [-x, x, 0]], np.float32)
    return Mesh(
        vertices=corners,
        faces=np.array([[0, 2, 1], [0, 3, 2]]),
        normals=np.tile(np.array([0, 0, -1], np.float32), (4, 1)),
        colours=np.full((4, 3), albedo, np.float32),
        uv=np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32),
        texture=np.asarray(texture, np.float32),
    )


SURFACE_CHECKS: tuple[Check, ...] = (
    check_depth,
    check_self_occlusion,
    check_textures,
    check_vertex_colours,
    check_light_direction,
    check_tint_and_scale,
)
