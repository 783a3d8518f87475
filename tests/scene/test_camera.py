"""Cameras: OpenCV axes against cases computed by hand, and laws of projection."""

import math

import numpy as np
import pytest
import torch

from inverse_graphics.scene.batch import CameraBatch
from inverse_graphics.scene.camera import look_at_pose, orbit_pose, pinhole_intrinsics, resized_intrinsics
from inverse_graphics.scene.camera_batch import project


def camera_of(T, K, width=64, height=48):
    return CameraBatch(torch.from_numpy(K)[None], torch.from_numpy(T)[None], height, width)


def pixels(T, K, *points):
    uv, depth = project(torch.from_numpy(np.array([points], np.float64)), camera_of(T, K))
    return uv[0].numpy(), depth[0].numpy()


def test_a_camera_on_the_y_axis_by_hand():
    """It stands at y = −2 and looks along +y: right is +x, down is −z."""
    T = look_at_pose([0, -2, 0], [0, 0, 0])
    expected = [[1, 0, 0, 0], [0, 0, 1, -2], [0, -1, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(T, expected)
    K = np.array([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]])
    uv, depth = pixels(T, K, (0, 0, 0), (0.2, 0, 0), (0, 0, 0.2), (0.2, 2, -0.4))
    np.testing.assert_allclose(uv, [[32, 24], [42, 24], [32, 14], [37, 34]])
    np.testing.assert_allclose(depth, [2, 2, 2, 4])


def test_a_camera_on_the_x_axis_by_hand():
    """It stands at x = 3 and looks along −x: right is +y."""
    np.testing.assert_array_equal(
        look_at_pose([3, 0, 0], [0, 0, 0])[:3, :3], [[0, 0, -1], [1, 0, 0], [0, -1, 0]]
    )


@pytest.mark.parametrize(("height", "down"), [(1.5, -1), (-1.5, 1)])
def test_straight_down_and_up_x_points_right(height, down):
    T = look_at_pose([1, 2, height], [1, 2, 0])
    np.testing.assert_array_equal(T[:3, 0], [1, 0, 0])
    np.testing.assert_array_equal(T[:3, 2], [0, 0, down])


@pytest.mark.parametrize("seed", range(5))
def test_look_at_puts_the_target_in_the_middle_and_z_upright(seed):
    rng = np.random.default_rng(seed)
    eye, target = rng.normal(size=(2, 3))
    T, K = look_at_pose(eye, target), pinhole_intrinsics(0.8, 64, 48)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    uv, depth = pixels(T, K, target, target + np.array([0, 0, 0.01]))
    np.testing.assert_allclose(uv[0], [32, 24], atol=1e-9)
    assert depth[0] == pytest.approx(np.linalg.norm(target - eye))
    np.testing.assert_allclose(uv[1, 0], 32, atol=1e-9)
    assert uv[1, 1] < 24


@pytest.mark.parametrize("elevation", [-80, -10, 0, 30, 89])
@pytest.mark.parametrize("azimuth", [-170, 0, 45, 90])
def test_orbit_is_look_at_from_a_sphere(azimuth, elevation):
    target = np.array([0.3, -0.2, 0.1])
    a, e = math.radians(azimuth), math.radians(elevation)
    eye = target + 1.7 * np.array([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)])
    np.testing.assert_allclose(orbit_pose(a, e, 1.7, target), look_at_pose(eye, target), atol=1e-12)


def test_orbit_goes_on_smoothly_to_the_zenith():
    near = orbit_pose(0.7, math.pi / 2 - 1e-9, 1, [0, 0, 0])
    np.testing.assert_allclose(orbit_pose(0.7, math.pi / 2, 1, [0, 0, 0]), near, atol=1e-8)


def test_the_field_of_view_spans_the_height():
    K = pinhole_intrinsics(math.radians(50), 64, 48)
    T = look_at_pose([0, -1, 0], [0, 0, 0])
    edge = math.tan(math.radians(25))
    uv, _ = pixels(T, K, (0, 0, edge), (0, 0, -edge), (edge * 64 / 48, 0, 0))
    np.testing.assert_allclose(uv, [[32, 0], [32, 48], [64, 24]], atol=1e-9)


@pytest.mark.parametrize("size", [(128, 96), (32, 24), (50, 90)])
def test_resizing_scales_pixels_about_the_upper_left_corner(size):
    K = np.array([[70.0, 0, 30], [0, 80, 20], [0, 0, 1]])
    T = look_at_pose([0.5, -1, 0.4], [0, 0, 0])
    points = np.random.default_rng(0).normal(size=(20, 3)) * 0.2
    before, depth_before = pixels(T, K, *points)
    after, depth_after = pixels(T, resized_intrinsics(K, (64, 48), size), *points)
    np.testing.assert_allclose(after, before * np.array(size) / [64, 48])
    np.testing.assert_array_equal(depth_after, depth_before)
    there_and_back = resized_intrinsics(resized_intrinsics(K, (64, 48), size), size, (64, 48))
    np.testing.assert_allclose(there_and_back, K)


def test_projection_is_differentiable_in_points_and_camera():
    T = torch.from_numpy(look_at_pose([0.5, -1, 0.4], [0, 0, 0]))[None].requires_grad_()
    K = torch.from_numpy(pinhole_intrinsics(0.8, 64, 48))[None].requires_grad_()
    points = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1
    points.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, k, t: project(p, CameraBatch(k, t, 48, 64)), (points, K, T))
