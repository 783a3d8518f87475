"""The group of rigid transforms and what it does to points."""

import pytest
import torch

from inverse_graphics.geometry.transforms import (
    compose,
    invert,
    random_rotations,
    rigid_transform,
    transform_points,
)

SHAPES = [(), (4,), (2, 3)]


def transforms(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rotation = random_rotations(shape, generator, torch.float64)
    return rigid_transform(rotation, torch.randn(*shape, 3, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
def test_group_laws(shape):
    a, b, c = (transforms(*shape, seed=seed) for seed in range(3))
    identity = torch.eye(4, dtype=torch.float64).expand_as(a)
    torch.testing.assert_close(compose(a, invert(a)), identity)
    torch.testing.assert_close(compose(invert(a), a), identity)
    torch.testing.assert_close(compose(compose(a, b), c), compose(a, compose(b, c)))
    torch.testing.assert_close(invert(compose(a, b)), compose(invert(b), invert(a)))
    assert (compose(a, b)[..., 3, :] == identity[..., 3, :]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_points_move_as_the_transforms_compose_and_keep_their_distances(shape):
    a, b = transforms(*shape, seed=1), transforms(*shape, seed=2)
    points = torch.randn(*shape, 5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(
        transform_points(compose(a, b), points), transform_points(a, transform_points(b, points))
    )
    torch.testing.assert_close(transform_points(invert(a), transform_points(a, points)), points)
    torch.testing.assert_close(
        torch.cdist(transform_points(a, points), transform_points(a, points)), torch.cdist(points, points)
    )


def test_the_origin_of_a_frame_is_its_position():
    generator = torch.Generator().manual_seed(0)
    rotation, position = random_rotations((3,), generator), torch.randn(2, 1, 3, generator=generator)
    T = rigid_transform(rotation, position)
    assert T.shape == (2, 3, 4, 4)
    origin = transform_points(T, torch.zeros(1, 3))
    torch.testing.assert_close(origin[..., 0, :], position.expand(2, 3, 3))
    torch.testing.assert_close(transform_points(T, torch.eye(3)) - origin, rotation.mT.expand(2, 3, 3, 3))
