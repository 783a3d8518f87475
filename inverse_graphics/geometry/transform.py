"""Rigid transforms as 4×4 matrices; `T_a_b` takes coordinates in frame b to coordinates in frame a."""

from __future__ import annotations

import torch
from torch import Tensor


def rigid_transform(rotation: Tensor, position: Tensor) -> Tensor:
    """Build T_a_b from the orientation and the origin of frame b in frame a.

    rotation: (..., 3, 3).  position: (..., 3), metres.  Returns (..., 4, 4).
    """
    shape = (rotation[..., 0] + position).shape  # of the broadcast batch, and 3
    top = torch.cat([rotation.expand(*shape, 3), position.expand(shape)[..., None]], dim=-1)
    last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=top.dtype, device=top.device)
    return torch.cat([top, last.expand(*shape[:-1], 1, 4)], dim=-2)


def compose(T_a_b: Tensor, T_b_c: Tensor) -> Tensor:
    """Chain transforms whose inner frames agree.  Both (..., 4, 4), broadcast.  Returns T_a_c."""
    return T_a_b @ T_b_c


def invert(T_a_b: Tensor) -> Tensor:
    """Give T_b_a, by transposition: exact for a rigid transform.  T_a_b: (..., 4, 4)."""
    rotation = T_a_b[..., :3, :3].transpose(-1, -2)
    return rigid_transform(rotation, -(rotation @ T_a_b[..., :3, 3:]).squeeze(-1))


def transform_points(T_a_b: Tensor, points_b: Tensor) -> Tensor:
    """Give the coordinates in frame a of points given in frame b.

    T_a_b: (..., 4, 4).  points_b: (..., P, 3), metres; leading dimensions broadcast.  Returns (..., P, 3).
    """
    return points_b @ T_a_b[..., :3, :3].transpose(-1, -2) + T_a_b[..., None, :3, 3]
