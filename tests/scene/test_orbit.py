"""Cameras on orbits as tensors: against the reference `orbit_pose`."""

import numpy as np
import pytest
import torch

from inverse_graphics.scene.camera import orbit_pose, pinhole_intrinsics
from inverse_graphics.scene.camera_batch import orbit_cameras

K = torch.from_numpy(pinhole_intrinsics(0.7, 64, 48))


def random_orbits(count, seed):
    generator = torch.Generator().manual_seed(seed)
    low = torch.tensor([-np.pi, -np.pi / 2, 0.3], dtype=torch.float64)
    high = torch.tensor([np.pi, np.pi / 2, 3.0], dtype=torch.float64)
    return low + (high - low) * torch.rand(count, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shared", [True, False], ids=["one target", "a target each"])
def test_poses_are_those_of_orbit_pose(shared):
    orbit = random_orbits(20, seed=0)
    orbit[0, 1], orbit[1, 1] = np.pi / 2, -np.pi / 2
    targets = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if shared:
        targets[:] = targets[0]
    cameras = orbit_cameras(orbit, targets[0] if shared else targets, K, 48, 64)
    expected = [
        orbit_pose(azimuth, elevation, distance, target)
        for (azimuth, elevation, distance), target in zip(orbit.tolist(), targets.numpy(), strict=True)
    ]
    np.testing.assert_allclose(cameras.T_world_camera, np.stack(expected), atol=1e-12)
    assert (cameras.height, cameras.width) == (48, 64)
    assert torch.equal(cameras.K, K.expand(20, 3, 3))


def test_each_camera_may_have_its_own_intrinsics():
    many = K * torch.linspace(0.5, 2, 5, dtype=torch.float64)[:, None, None]
    assert torch.equal(orbit_cameras(random_orbits(5, 2), torch.zeros(3).double(), many, 48, 64).K, many)


def test_gradients_are_finite_differences():
    orbit, target = random_orbits(4, seed=3).requires_grad_(), torch.zeros(3).double().requires_grad_()
    torch.autograd.gradcheck(
        lambda orbit, target: orbit_cameras(orbit, target, K, 48, 64).T_world_camera, (orbit, target)
    )
