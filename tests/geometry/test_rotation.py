"""Laws of rotations × batch shapes × how near the identity or a half turn."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from scipy.spatial.transform import Rotation

from inverse_graphics.geometry.transforms import (
    angle_between,
    geodesic_angle,
    matrix_from_quaternion,
    matrix_from_rotation_vector,
    matrix_from_yaw,
    quaternion_from_matrix,
    random_rotations,
    rotation_from_6d,
    rotation_vector_from_matrix,
)

SHAPES = [(), (7,), (2, 3), (0,)]
ANGLES = [
    0.0,
    1e-300,
    1e-160,
    1e-12,
    1e-6,
    9.9e-4,
    1e-3,
    9.99e-3,
    1e-2,
    0.5,
    2.0,
    math.pi - 1e-6,
    math.pi - 1e-12,
]
IDENTITY = torch.eye(3, dtype=torch.float64)


def axes(*shape, seed=0):
    vector = torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return vector / vector.norm(dim=-1, keepdim=True)


def rotations(*shape, seed=0):
    return random_rotations(shape, torch.Generator().manual_seed(seed), torch.float64)


def skew(v):
    x, y, z = v.tolist()
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_form_gives_proper_rotations(shape):
    vectors = 2 * axes(*shape)
    quaternion = torch.randn(*shape, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for matrix in (
        matrix_from_rotation_vector(vectors),
        matrix_from_quaternion(quaternion),
        matrix_from_yaw(vectors[..., 0]),
        rotations(*shape),
    ):
        assert matrix.shape == (*shape, 3, 3)
        identity = IDENTITY.expand_as(matrix)
        torch.testing.assert_close(matrix @ matrix.transpose(-1, -2), identity, rtol=0, atol=1e-14)
        torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(shape, dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
def test_forms_convert_into_one_another_and_back(shape):
    matrix = rotations(*shape)
    for there_and_back in (
        matrix_from_quaternion(quaternion_from_matrix(matrix)),
        matrix_from_rotation_vector(rotation_vector_from_matrix(matrix)),
    ):
        torch.testing.assert_close(there_and_back, matrix, rtol=0, atol=1e-14)


def test_matrices_agree_with_another_library():
    quaternion = torch.randn(200, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = Rotation.from_quat(quaternion.numpy())
    matrix = torch.from_numpy(expected.as_matrix())
    torch.testing.assert_close(matrix_from_quaternion(quaternion), matrix)
    torch.testing.assert_close(rotation_vector_from_matrix(matrix), torch.from_numpy(expected.as_rotvec()))
    torch.testing.assert_close(
        quaternion_from_matrix(matrix), torch.from_numpy(expected.as_quat(canonical=True))
    )


@pytest.mark.parametrize("angle", ANGLES)
def test_exponential_map_equals_the_matrix_exponential(angle):
    for vector in angle * axes(5):
        expected = torch.from_numpy(scipy.linalg.expm(skew(vector).numpy()))
        torch.testing.assert_close(matrix_from_rotation_vector(vector), expected, rtol=0, atol=2e-15)


@pytest.mark.parametrize("angle", ANGLES)
def test_logarithm_undoes_the_exponential_to_rounding(angle):
    vector = angle * axes(50)
    back = rotation_vector_from_matrix(matrix_from_rotation_vector(vector))
    torch.testing.assert_close(back, vector, rtol=0, atol=4e-15)


def test_logarithm_of_half_turns_is_the_axis_up_to_sign():
    for axis in torch.cat([IDENTITY, axes(20)]):
        half_turn = 2 * axis[:, None] * axis - IDENTITY
        vector = rotation_vector_from_matrix(half_turn)
        sign = torch.sign((vector * axis).sum())
        torch.testing.assert_close(vector * sign, math.pi * axis, rtol=0, atol=1e-14)


def test_quaternion_and_its_negative_are_one_rotation_and_the_answer_has_a_positive_w():
    quaternion = torch.randn(50, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(matrix_from_quaternion(quaternion), matrix_from_quaternion(-3 * quaternion))
    assert (quaternion_from_matrix(rotations(200))[:, 3] >= 0).all()


@pytest.mark.parametrize("angle", ANGLES)
def test_geodesic_angle_keeps_its_digits_near_zero_and_pi(angle):
    start = rotations(20)
    rotated = start @ matrix_from_rotation_vector(angle * axes(20, seed=1))
    expected = torch.full((20,), angle, dtype=torch.float64)
    torch.testing.assert_close(geodesic_angle(start, rotated), expected, rtol=0, atol=2e-15)


def test_geodesic_angle_is_a_metric_that_both_sides_leave_alone():
    a, b, c, d = rotations(4, 100)
    torch.testing.assert_close(geodesic_angle(a, b), geodesic_angle(b, a))
    torch.testing.assert_close(geodesic_angle(d @ a, d @ b), geodesic_angle(a, b))
    torch.testing.assert_close(geodesic_angle(a @ d, b @ d), geodesic_angle(a, b))
    assert (geodesic_angle(a, c) <= geodesic_angle(a, b) + geodesic_angle(b, c) + 1e-12).all()


def test_yaw_turns_x_towards_y():
    quarter = matrix_from_yaw(torch.tensor(math.pi / 2, dtype=torch.float64))
    torch.testing.assert_close(quarter @ IDENTITY[0], IDENTITY[1])
    torch.testing.assert_close(quarter @ IDENTITY[2], IDENTITY[2])
    vector = torch.tensor([0.0, 0.0, 0.7], dtype=torch.float64)
    torch.testing.assert_close(matrix_from_yaw(vector[2]), matrix_from_rotation_vector(vector))


def haar_distribution(angle: Any) -> Any:
    """Under the Haar measure the angle has the density (1 − cos t)/π (Miles 1965)."""
    return (angle - np.sin(angle)) / math.pi


def p_value_of_uniformity(matrices):
    return scipy.stats.kstest(geodesic_angle(matrices, IDENTITY).numpy(), haar_distribution).pvalue


def test_random_rotations_are_uniform():
    assert p_value_of_uniformity(rotations(4000)) > 1e-3
    assert p_value_of_uniformity(rotations(1)[0] @ rotations(4000, seed=5)) > 1e-3
    # control: uniform axis and uniform angle is not the Haar measure
    angle = math.pi * torch.rand(4000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert p_value_of_uniformity(matrix_from_rotation_vector(angle * axes(4000))) < 1e-6


def test_random_rotations_depend_on_the_generator_alone():
    assert torch.equal(rotations(3, seed=4), rotations(3, seed=4))
    assert not torch.equal(rotations(3, seed=4), rotations(3, seed=5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", [0.0, 1e-30, 1e-6, 1e-3, 0.01, 1.0, math.pi - 1e-7, math.pi])
def test_gradients_are_finite_everywhere(angle, dtype):
    vectors = (angle * torch.cat([IDENTITY, axes(8)])).to(dtype)
    start = matrix_from_rotation_vector(vectors)
    for function, argument in (
        (matrix_from_rotation_vector, vectors),
        (rotation_vector_from_matrix, start),
        (quaternion_from_matrix, start),
        (lambda m: geodesic_angle(m, torch.eye(3, dtype=dtype)), start),
        (lambda v: angle_between(v, vectors), vectors),
    ):
        leaf = argument.clone().requires_grad_()
        value = function(leaf)
        (gradient,) = torch.autograd.grad(
            (value * torch.arange(1, value.numel() + 1).view_as(value)).sum(), leaf
        )
        assert value.dtype == dtype
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("angle", [0.0, 1e-5, 5e-3, 0.0099, 0.0101, 1.0, 3.0])
def test_gradients_equal_finite_differences(angle):
    vectors = (angle * axes(4)).requires_grad_()
    assert torch.autograd.gradcheck(matrix_from_rotation_vector, (vectors,))
    # along the group, for off it a logarithm is not defined
    start = matrix_from_rotation_vector(vectors.detach())

    def logarithm(step):
        return rotation_vector_from_matrix(start @ matrix_from_rotation_vector(step))

    step = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(logarithm, (step,))
    assert torch.autograd.gradgradcheck(logarithm, (step,), atol=1e-4)


def test_angle_between_directions():
    x, y = IDENTITY[0], IDENTITY[1]
    for angle in ANGLES[2:]:
        rotated = math.cos(angle) * x + math.sin(angle) * y
        torch.testing.assert_close(angle_between(3 * x, rotated).item(), angle, rtol=0, atol=2e-15)
    assert angle_between(x, -x).item() == math.pi


@pytest.mark.parametrize("shape", SHAPES)
def test_six_numbers_give_proper_rotations_and_keep_the_first_two_columns_of_one(shape):
    columns = torch.randn(*shape, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    matrix = rotation_from_6d(columns)
    torch.testing.assert_close(
        matrix @ matrix.transpose(-1, -2), IDENTITY.expand_as(matrix), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(shape, dtype=torch.float64))
    again = torch.cat([3 * matrix[..., 0], 0.5 * matrix[..., 1] - 2 * matrix[..., 0]], -1)
    torch.testing.assert_close(rotation_from_6d(again), matrix, rtol=0, atol=1e-12)
