"""Rotation errors modulo symmetries: invariant under them, and no smaller than they must be."""

import math

import pytest
import torch

from inverse_graphics.geometry.transforms import (
    geodesic_angle,
    matrix_from_rotation_vector,
    matrix_from_yaw,
    random_rotations,
)
from inverse_graphics.packs.symmetry import Symmetry, UnboundedGroupError, generated_group, symmetric_angle

X, Y, Z = torch.eye(3, dtype=torch.float64)


def turn(axis, angle):
    return matrix_from_rotation_vector(axis * angle)


QUARTER_X, QUARTER_Z, FLIP_X = turn(X, math.pi / 2), turn(Z, math.pi / 2), turn(X, math.pi)
SYMMETRIES = {
    "none": Symmetry.none(),
    "six-fold": Symmetry(generated_group([turn(Z, math.pi / 3)])),
    "cube": Symmetry(generated_group([QUARTER_X, QUARTER_Z])),
    "about z": Symmetry(generated_group([]), axis=Z),
    "about z and flipped": Symmetry(generated_group([FLIP_X]), axis=Z),
    "ball": Symmetry(generated_group([]), spherical=True),
}


def pairs(count, seed=0):
    return random_rotations((2, count), torch.Generator().manual_seed(seed), torch.float64)


def members(symmetry, count=4000):
    """Rotations drawn from the symmetry group, by its definition."""
    generator = torch.Generator().manual_seed(1)
    if symmetry.spherical:
        return random_rotations((count,), generator, torch.float64)
    pick = torch.randint(len(symmetry.discrete), (count,), generator=generator)
    group = symmetry.discrete[pick]
    if symmetry.axis is None:
        return group
    angle = 2 * math.pi * torch.rand(count, 1, generator=generator, dtype=torch.float64)
    return group @ matrix_from_rotation_vector(angle * symmetry.axis)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_symmetries_cannot_be_seen(name):
    symmetry, (first, second) = SYMMETRIES[name], pairs(200)
    expected = symmetric_angle(first, second, symmetry)
    changed = members(symmetry, 200)
    torch.testing.assert_close(
        symmetric_angle(first, second @ changed, symmetry), expected, atol=1e-12, rtol=0
    )
    torch.testing.assert_close(
        symmetric_angle(first @ changed, second, symmetry), expected, atol=1e-12, rtol=0
    )
    torch.testing.assert_close(symmetric_angle(second, first, symmetry), expected, atol=1e-12, rtol=0)
    moved = random_rotations((), torch.Generator().manual_seed(9), torch.float64)
    torch.testing.assert_close(
        symmetric_angle(moved @ first, moved @ second, symmetry), expected, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("name", SYMMETRIES)
def test_the_angle_is_the_smallest_over_the_group(name):
    symmetry, (first, second) = SYMMETRIES[name], pairs(20, seed=2)
    by_search = geodesic_angle(first[:, None], second[:, None] @ members(symmetry)).amin(-1)
    angle = symmetric_angle(first, second, symmetry)
    assert (angle <= by_search + 1e-12).all()
    coarse = 0.5 if symmetry.spherical else 0.01 if symmetry.axis is not None else 1e-12
    assert (by_search - angle <= coarse).all()


def test_groups_have_their_orders():
    assert len(generated_group([])) == 1
    assert len(generated_group([turn(Z, 2 * math.pi / 7)])) == 7
    assert len(generated_group([turn(Z, math.pi / 3), FLIP_X])) == 12
    assert len(generated_group([QUARTER_X, QUARTER_Z])) == 24
    golden = (1 + math.sqrt(5)) / 2
    five = torch.tensor([0, 1, golden], dtype=torch.float64)
    three = torch.ones(3, dtype=torch.float64)
    icosahedron = [turn(five / five.norm(), 2 * math.pi / 5), turn(three / three.norm(), 2 * math.pi / 3)]
    assert len(generated_group(icosahedron)) == 60
    torch.testing.assert_close(generated_group(icosahedron)[0], torch.eye(3, dtype=torch.float64))


def test_axes_that_do_not_fit_together_are_refused():
    with pytest.raises(UnboundedGroupError, match="more than 120"):
        generated_group([turn(Z, 2 * math.pi / 7), turn(X, 2 * math.pi / 5)])


def test_known_angles():
    eye = torch.eye(3, dtype=torch.float64)
    yaw = matrix_from_yaw(torch.tensor(1.0, dtype=torch.float64))
    assert symmetric_angle(eye, yaw, SYMMETRIES["none"]).item() == pytest.approx(1.0)
    assert symmetric_angle(eye, yaw, SYMMETRIES["six-fold"]).item() == pytest.approx(
        math.pi / 3 - 1, abs=1e-12
    )
    assert symmetric_angle(eye, yaw, SYMMETRIES["about z"]).item() == pytest.approx(0, abs=1e-12)
    assert symmetric_angle(eye, FLIP_X, SYMMETRIES["about z"]).item() == pytest.approx(math.pi)
    assert symmetric_angle(eye, FLIP_X, SYMMETRIES["about z and flipped"]).item() == pytest.approx(
        0, abs=1e-12
    )
    assert symmetric_angle(eye, turn(X, 0.3), SYMMETRIES["about z"]).item() == pytest.approx(0.3)


def test_shapes_broadcast_in_single_precision():
    first, second = pairs(5)
    for symmetry in SYMMETRIES.values():
        angle = symmetric_angle(first[:, None].float(), second.float(), symmetry)
        assert angle.shape == (5, 5)
        assert angle.dtype == torch.float32
