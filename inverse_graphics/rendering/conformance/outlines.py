"""Checks of image positions: silhouettes, areas, camera axes, borders of the image."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import ConvexHull

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.rendering.conformance.shapes import Floats, ball, box, card
from inverse_graphics.rendering.conformance.tolerance import (
    Check,
    EngineFactory,
    Tolerance,
    require,
    require_near,
)
from inverse_graphics.rendering.conformance.views import View, draw, to_numpy
from inverse_graphics.scene.camera import look_at_pose
from inverse_graphics.scene.camera_batch import project

ROTATED = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])  # no face parallel to the image
SUBPIXEL = (0.03, 0.27, 0.51, 0.78)
SIZES_M = (0.03, 0.07, 0.13)


def check_silhouettes(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """A convex object covers the hull of its projected vertices, and nothing else."""
    view = View()
    for shape, rotation in ((ball(0.12), np.eye(3)), (box(), np.eye(3)), (box(), ROTATED)):
        position = np.array([0.043, -0.061, 0.8])
        alpha = to_numpy(draw(make_engine, shape, [position], view, rotation).alpha)[0, 0]
        inside = _depth_in_hull(_outline(shape, rotation, position, view), view)
        missing = 1 - alpha[inside > tolerance.blur_px].min()
        outside = alpha[inside < -tolerance.blur_px].max()
        require(missing < 1e-3, f"alpha inside a convex silhouette: {missing:.3g} short of 1")
        require(outside < 1e-3, f"alpha outside a convex silhouette: {outside:.3g}, expected 0")


def check_area_without_bias(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Summed alpha is the silhouette's area, of round and square objects, large and small, anywhere."""
    view = View()
    for size in SIZES_M:
        for shape, rotation in ((ball(size), np.eye(3)), (box([size * 1.7] * 3), ROTATED)):
            places = np.array([[(x - 0.5) / 60, (y - 0.5) / 60, 1.0] for x in SUBPIXEL for y in SUBPIXEL])
            area = to_numpy(draw(make_engine, shape, places, view, rotation).alpha).sum(axis=(1, 2, 3))
            truth = np.array([ConvexHull(_outline(shape, rotation, at, view)).volume for at in places])
            error = area / truth - 1
            what = f"relative error of an area of {truth.mean():.0f} px"
            allowed = tolerance.area if truth.mean() >= 25 else tolerance.area_small
            require_near(float(error.mean()), 0.0, allowed, f"{what}, mean")
            limit = tolerance.area_once * max(1.0, 8 / np.sqrt(truth.mean()))
            require_near(float(np.abs(error).max()), 0.0, limit, f"{what}, largest")


def check_camera_axes(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """x points right and y down in the image, for every camera orientation."""
    right, below = to_numpy(draw(make_engine, ball(0.02), [[0.2, 0, 1], [0, 0.2, 1]]).alpha)[:, 0]
    require(_centre(right)[0] > 30, "an object at x > 0 of the camera is not in the right of the image")
    require(_centre(below)[1] > 30, "an object at y > 0 of the camera is not in the bottom of the image")
    for eye in ((0.0, -1.0, 0.4), (0.8, 0.5, 0.7), (-0.3, 0.2, 1.1)):
        view = View(T_world_camera=look_at_pose(eye, (0.02, -0.03, 0.0)))
        _check_centres(make_engine, tolerance, view)


def check_images_that_are_not_square(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Wide and tall images, unequal focal lengths and principal points off the centre."""
    pose = look_at_pose((0.3, -0.9, 0.5), (0.0, 0.0, 0.0))
    for height, width, K in (
        (40, 64, (60.0, 60.0, 32.0, 20.0)),
        (64, 40, (55.0, 70.0, 20.0, 32.0)),
        (33, 57, (50.0, 50.0, 20.25, 21.5)),
    ):
        _check_centres(make_engine, tolerance, View(height, width, K, pose))


def check_larger_than_the_image(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """An object that fills the view covers every pixel, borders and corners included."""
    del tolerance
    for shape in (ball(2.0, 2), box([3.0, 3.0, 3.0]), card(50.0, 50.0)):
        layers = draw(make_engine, shape, [[0.1, -0.1, 2.5]], View(32, 40))
        least = float(layers.alpha.min())
        require(least > 0.999, f"alpha of an object that fills the image: {least:.4g} somewhere, expected 1")
        require(bool(layers.depth.isfinite().all()), "depth of an object that fills the image is not finite")


def check_off_screen(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """Objects outside the view, or behind the camera, are not visible."""
    del tolerance
    places = [[2.0, 0, 1], [-2.0, 0, 1], [0, 2.0, 1], [0, -2.0, 1], [0, 0, -1.0], [0.1, 0.1, -0.5]]
    layers = draw(make_engine, box(), places)
    require(float(layers.alpha.abs().max()) == 0, "an object out of view leaves alpha")
    require(float(layers.rgb.abs().max()) == 0, "an object out of view leaves colour")
    require(bool((layers.depth == torch.inf).all()), "an object out of view leaves depth: expected +inf")


def check_partly_off_screen(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """An object cut by the image border is rendered as if the image continued."""
    wide = View(48, 80, (60.0, 60.0, 40.0, 24.0))
    narrow = View(48, 48, (60.0, 60.0, 24.0, 24.0))
    places = [[-0.4, 0.02, 1.0], [0.39, -0.37, 1.0]]
    whole = draw(make_engine, ball(0.1), places, wide)
    cut = draw(make_engine, ball(0.1), places, narrow)
    gap = float((whole.alpha[..., 16:64] - cut.alpha).abs().max())
    require(gap <= 10 * tolerance.repeat, f"alpha at the image's border depends on it: differs by {gap:.3g}")


def check_partly_behind_the_camera(make_engine: EngineFactory, tolerance: Tolerance) -> None:
    """A floor that extends behind the camera is visible up to its far edge, without holes."""
    view, below, far = View(), 0.5, 3.0
    floor = card(40.0, 2 * far)
    upright = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # its normal now points up, to −y
    layers = draw(make_engine, floor, [[0.0, below, 0.0]], view, upright)
    alpha, depth = to_numpy(layers.alpha)[0, 0], to_numpy(layers.depth)[0, 0]
    down = view.rays()[..., 1]
    rows = np.arange(view.height) + 0.5 - (view.K[3] + view.K[1] * below / far)
    band = tolerance.blur_px
    require(float(alpha[rows > band].min()) > 0.999, "a floor under the camera has holes")
    require(float(alpha[rows < -band].max()) < 1e-3, "a floor under the camera goes beyond its end")
    error = np.abs(depth[rows > band + 1] / (below / down[rows > band + 1]) - 1)
    require_near(float(error.max()), 0.0, tolerance.depth, "relative error of a floor's depth")


def _outline(shape: Mesh, rotation: Floats, position: Floats, view: View) -> Floats:
    return view.pixels(shape.vertices.astype(np.float64) @ rotation.T + position)


def _depth_in_hull(points: Floats, view: View) -> Floats:
    """Signed distance of each pixel centre to the hull of points, (n, 2), pixels; (H, W), negative outside.

    Outside near corners it is less than the distance, so that the check is conservative.
    """
    lines = ConvexHull(points).equations
    y, x = np.mgrid[: view.height, : view.width] + 0.5
    reach = lines[:, 0, None, None] * x + lines[:, 1, None, None] * y + lines[:, 2, None, None]
    inside: Floats = -reach.max(axis=0)
    return inside


def _centre(alpha: Floats) -> Floats:
    """Column and row of the centre of mass of an image, (H, W)."""
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]] + 0.5
    return np.array([(alpha * x).sum(), (alpha * y).sum()]) / max(alpha.sum(), 1e-9)


def _check_centres(make_engine: EngineFactory, tolerance: Tolerance, view: View) -> None:
    places = np.array([[0.0, 0.0, 0.0], [0.1, 0.05, 0.08], [-0.07, 0.1, -0.05], [0.06, -0.11, 0.02]])
    alpha = to_numpy(draw(make_engine, ball(0.04), places, view).alpha)[:, 0]
    pixels, _ = project(torch.from_numpy(places)[None].float(), view.camera(1))
    for image, expected in zip(alpha, to_numpy(pixels[0]), strict=True):
        off = float(np.abs(_centre(image) - expected).max())
        what = f"centre of a ball in {view.height}×{view.width} pixels, off by"
        require_near(off, 0.0, tolerance.position_px, what)


OUTLINE_CHECKS: tuple[Check, ...] = (
    check_silhouettes,
    check_area_without_bias,
    check_camera_axes,
    check_images_that_are_not_square,
    check_larger_than_the_image,
    check_off_screen,
    check_partly_off_screen,
    check_partly_behind_the_camera,
)
