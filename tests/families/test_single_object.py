"""Single floating objects: wholly in the picture, uniform in kind, place and orientation."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from inverse_graphics.errors import SceneError
from inverse_graphics.families.single_object import SingleObject, SingleObjectSettings
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.scene.camera_batch import project


@pytest.fixture(scope="module")
def family():
    return SingleObject.build(SingleObjectSettings())


@pytest.fixture(scope="module")
def sample(family):
    return family.sample(6000, torch.Generator().manual_seed(0))


def test_there_is_exactly_one_object_of_any_kind(family, sample):
    assert (sample.latents.counts == 1).all()
    assert family.max_objects == 1
    assert chisquare(np.bincount(sample.scene.objects.asset[:, 0], minlength=3)).pvalue > 1e-3


def test_places_are_uniform_in_the_plane_that_faces_the_camera(family, sample):
    position = sample.scene.objects.position[:, 0]
    for axis in (0, 2):
        assert kstest((position[:, axis] / family.reach + 1) / 2, "uniform").pvalue > 1e-3
    assert (position[:, 1] == 0).all()
    pixels, depth = project(sample.scene.objects.position, sample.scene.camera)
    torch.testing.assert_close(depth, torch.ones_like(depth))
    focal = sample.scene.camera.K[0, 0, 0]
    torch.testing.assert_close(pixels[:, 0], 32 + focal * position[:, [0, 2]] * torch.tensor([1.0, -1.0]))


def test_rotations_are_uniform(sample):
    """Under the Haar measure each entry of a matrix is uniform on [−1, 1] (Archimedes)."""
    entries = sample.scene.objects.rotation[:, 0].reshape(-1, 9)
    assert all(kstest(entry / 2 + 0.5, "uniform").pvalue > 1e-3 for entry in entries.T)
    assert torch.equal(sample.latents.orientation, sample.scene.objects.rotation)


def test_every_object_is_wholly_seen_and_fills_about_a_third(family, sample):
    scene = family.sample(300, torch.Generator().manual_seed(1)).scene
    alpha = EmbeddedEngine(family.library).layers(scene.objects, scene.camera, scene.light).alpha[:, 0]
    border = torch.ones(64, 64, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert float(alpha[:, border].max()) == 0
    width = (alpha.amax(dim=1) > 0.5).sum(dim=1).float()
    assert 0.28 * 64 < float(width.mean()) < 0.45 * 64


def test_a_reach_is_as_far_as_a_ball_about_the_largest_kind_can_go(family):
    """The plane through the camera and the picture's edge touches the ball."""
    half = np.radians(family.settings.field_of_view_degrees / 2)
    from_edge = (1.0 * np.tan(half) - family.reach) * np.cos(half)
    assert from_edge == pytest.approx(float(family.library.radius.max()))


def test_the_generator_alone_decides(family):
    once, again = (family.sample(50, torch.Generator().manual_seed(2)).scene.objects for _ in range(2))
    assert torch.equal(once.rotation, again.rotation)
    assert torch.equal(once.position, again.position)


def test_an_object_larger_than_the_picture_is_refused():
    with pytest.raises(SceneError, match=r"'primitives/cube' reaches 0.0866 m .* raise distance_m"):
        SingleObject.build(SingleObjectSettings(field_of_view_degrees=5))
