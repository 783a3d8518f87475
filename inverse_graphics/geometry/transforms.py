"""Rotations (matrices, unit quaternions in xyzw order, rotation vectors) and rigid transforms (4×4 matrices).

All functions are batched over leading dimensions, work in float32 and float64, and have finite gradients
everywhere, including at the identity and at rotations by π. `T_a_b` maps coordinates in frame b to
coordinates in frame a.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def matrix_from_quaternion(quaternion_xyzw: Tensor) -> Tensor:
    """Convert quaternions to rotation matrices.

    Args:
        quaternion_xyzw: (..., 4), of any non-zero length; q and −q are the same rotation.

    Returns:
        (..., 3, 3).
    """
    x, y, z, w = (quaternion_xyzw / quaternion_xyzw.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """Convert rotation matrices to unit quaternions with w ≥ 0.

    Args:
        rotation: (..., 3, 3).

    Returns:
        (..., 4), xyzw. The entries of a rotation give the rank-one matrix 4 q qᵀ (Shepperd 1978, "Quaternion
        from rotation matrix"); every row of it is a multiple of q. The row with the largest diagonal entry,
        whose norm is at least 2, is used: the others are inaccurate near an angle of π.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotation.unbind(-2))
    four_q_q = torch.stack(
        [
            torch.stack([1 + a - e - i, b + d, c + g, h - f], dim=-1),
            torch.stack([b + d, 1 - a + e - i, f + h, c - g], dim=-1),
            torch.stack([c + g, f + h, 1 - a - e + i, d - b], dim=-1),
            torch.stack([h - f, c - g, d - b, 1 + a + e + i], dim=-1),
        ],
        dim=-2,
    )
    largest = four_q_q.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = torch.take_along_dim(four_q_q, largest[..., None, None], dim=-2).squeeze(-2)
    quaternion = row / row.norm(dim=-1, keepdim=True)
    return torch.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def matrix_from_rotation_vector(vector: Tensor) -> Tensor:
    """Convert rotation vectors (axis times angle in radians) to matrices by Rodrigues' formula.

    Args:
        vector: (..., 3).

    Returns:
        (..., 3, 3).
    """
    angle2 = vector.square().sum(-1)[..., None, None]
    # sin(t)/t and (1 − cos t)/t² are 0/0 at t = 0 and their derivatives cancel near it; the series are exact
    # to rounding below t = 0.01
    near = angle2 < 1e-4
    angle = torch.where(near, 1.0, angle2).sqrt()
    sine = torch.where(near, 1 - angle2 / 6 + angle2.square() / 120, angle.sin() / angle)
    cosine = torch.where(
        near,
        0.5 - angle2 / 24 + angle2.square() / 720,
        0.5 * (torch.sin(angle / 2) / (angle / 2)).square(),
    )
    cross = _cross_matrix(vector)
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return identity + sine * cross + cosine * (cross @ cross)


def rotation_vector_from_matrix(rotation: Tensor) -> Tensor:
    """Convert matrices to rotation vectors with angles in [0, π]; at π either sign of the axis is correct.

    Args:
        rotation: (..., 3, 3).

    Returns:
        (..., 3), radians.
    """
    quaternion = quaternion_from_matrix(rotation)
    half_axis, w = quaternion[..., :3], quaternion[..., 3:]
    sine2 = half_axis.square().sum(-1, keepdim=True)
    # angle/sin(angle/2) is 0/0 at the identity: there, 2 atan(s/w)/s = 2/w − 2 s²/(3 w³) + …
    near = sine2 < 1e-6
    sine = torch.where(near, 1.0, sine2).sqrt()
    safe_w = torch.where(near, w, 1.0)
    scale = torch.where(
        near, 2 / safe_w * (1 - sine2 / (3 * safe_w.square())), 2 * torch.atan2(sine, w) / sine
    )
    return scale * half_axis


def matrix_from_yaw(yaw_radians: Tensor) -> Tensor:
    """Convert angles about Z, counter-clockwise seen from above, to matrices.

    Args:
        yaw_radians: (...).

    Returns:
        (..., 3, 3).
    """
    zero, one = torch.zeros_like(yaw_radians), torch.ones_like(yaw_radians)
    cosine, sine = yaw_radians.cos(), yaw_radians.sin()
    rows = [[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def rotation_from_6d(columns: Tensor) -> Tensor:
    """Convert two vectors by Gram-Schmidt to the rotation whose first two columns they become.

    Args:
        columns: (..., 6), the first column, then the second; linearly independent, of any length.

    Returns:
        (..., 3, 3). Continuous and onto, which no map from fewer numbers is (Zhou et al. 2019, "On the
        continuity of rotation representations in neural networks", eq. 15).
    """
    first, second = columns[..., :3], columns[..., 3:]
    x = first / first.norm(dim=-1, keepdim=True)
    second = second - (x * second).sum(-1, keepdim=True) * x
    y = second / second.norm(dim=-1, keepdim=True)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def random_rotations(
    shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Sample rotation matrices uniformly (by the Haar measure).

    The direction of a normal vector in four dimensions is a uniform unit quaternion (Shoemake 1992).

    Returns:
        (*shape, 3, 3).
    """
    normal = torch.randn((*shape, 4), generator=generator, dtype=dtype, device=generator.device)
    return matrix_from_quaternion(normal)


@lru_cache(maxsize=16)
def spread_rotations(count: int) -> Tensor:
    """Choose rotations that are far from each other: (count, 3, 3) float32, the same for every call.

    Each is the farthest from the previous ones (Gonzalez 1985) among 6,000 random rotations.
    """
    pool = random_rotations((6000,), torch.Generator().manual_seed(0))
    chosen, nearness = [0], torch.full((len(pool),), -torch.inf)
    for _ in range(count - 1):
        trace = torch.einsum("ij,nij->n", pool[chosen[-1]], pool)  # 1 + 2 cos of the angle between
        nearness = torch.maximum(nearness, trace)
        chosen.append(int(nearness.argmin()))
    return pool[chosen]


def geodesic_angle(first: Tensor, second: Tensor) -> Tensor:
    """Compute the angle of the rotation between two orientations, in [0, π].

    Args:
        first: (..., 3, 3), broadcast.
        second: (..., 3, 3), broadcast.

    Returns:
        (...), radians. Where the angle is 0 or π, at which it is not differentiable, the gradient is 0.
    """
    between = first.transpose(-1, -2) @ second
    # arccos loses half the digits near 0 and π; the sine, from the antisymmetric part, keeps them
    sine = _length(_vee(between - between.transpose(-1, -2)) / 2)
    cosine = (between.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(sine, cosine)


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Compute the angle between directions, in [0, π].

    Args:
        first: (..., 3), broadcast.
        second: (..., 3), broadcast.

    Returns:
        (...), radians.
    """
    product = first * second
    sine = _length(torch.linalg.cross(first.expand_as(product), second.expand_as(product), dim=-1))
    return torch.atan2(sine, product.sum(-1))


def _cross_matrix(vector: Tensor) -> Tensor:
    """The matrix that maps p to vector × p.

    Args:
        vector: (..., 3).

    Returns:
        (..., 3, 3).
    """
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _vee(cross: Tensor) -> Tensor:
    """The vector of a cross-product matrix."""
    return torch.stack([cross[..., 2, 1], cross[..., 0, 2], cross[..., 1, 0]], dim=-1)


def _length(vector: Tensor) -> Tensor:
    """The norm over the last dimension, with gradient 0, not NaN, at the zero vector."""
    square = vector.square().sum(-1)
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def rigid_transform(rotation: Tensor, position: Tensor) -> Tensor:
    """Build T_a_b from the orientation and the origin of frame b in frame a.

    Args:
        rotation: (..., 3, 3).
        position: (..., 3), metres.

    Returns:
        (..., 4, 4).
    """
    shape = (rotation[..., 0] + position).shape  # of the broadcast batch, and 3
    top = torch.cat([rotation.expand(*shape, 3), position.expand(shape)[..., None]], dim=-1)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=top.dtype, device=top.device)
    return torch.cat([top, last.expand(*shape[:-1], 1, 4)], dim=-2)


def compose(T_a_b: Tensor, T_b_c: Tensor) -> Tensor:
    """Compose transforms whose inner frames agree.  Both (..., 4, 4), broadcast.

    Returns:
        T_a_c.
    """
    return T_a_b @ T_b_c


def invert(T_a_b: Tensor) -> Tensor:
    """Invert a rigid transform by transposition of its rotation.

    Args:
        T_a_b: (..., 4, 4).

    Returns:
        T_b_a.
    """
    rotation = T_a_b[..., :3, :3].transpose(-1, -2)
    return rigid_transform(rotation, -(rotation @ T_a_b[..., :3, 3:]).squeeze(-1))


def transform_points(T_a_b: Tensor, points_b: Tensor) -> Tensor:
    """Map points from frame b to frame a.

    Args:
        T_a_b: (..., 4, 4).
        points_b: (..., P, 3), metres; leading dimensions broadcast.

    Returns:
        (..., P, 3).
    """
    return points_b @ T_a_b[..., :3, :3].transpose(-1, -2) + T_a_b[..., None, :3, 3]
