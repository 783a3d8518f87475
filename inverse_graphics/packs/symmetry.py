"""Symmetry groups of objects, and rotation errors modulo them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inverse_graphics.geometry.transforms import angle_between, geodesic_angle

MAX_ROTATIONS = 120


class UnboundedGroupError(ValueError):
    """Rotations that generate a group of more than 120 elements, such as about two incompatible axes."""


@dataclass(frozen=True)
class Symmetry:
    """Rotations that leave the image of an object unchanged when its orientation is right-multiplied by them.

    Attributes:
        discrete: (S, 3, 3) float64, a group with the identity first.
        axis: (3,) float64, unit, about which every rotation is a symmetry, or None.
        spherical: whether every rotation is a symmetry.
    """

    discrete: Tensor
    axis: Tensor | None = None
    spherical: bool = False

    @classmethod
    def none(cls) -> Symmetry:
        """The trivial group: only the identity."""
        return cls(torch.eye(3, dtype=torch.float64)[None])


def generated_group(generators: Sequence[Tensor]) -> Tensor:
    """Generate a group, the identity first.

    Args:
        generators: each (3, 3) float64.

    Returns:
        (S, 3, 3).

    Raises:
        UnboundedGroupError: there are more than 120 of them.

    """
    group = [torch.eye(3, dtype=torch.float64)]
    for element in group:  # the list grows while it is walked
        for generator in generators:
            product = element @ generator
            if float((torch.stack(group) - product).abs().amax((-1, -2)).min()) > 1e-6:
                group.append(product)
        if len(group) > MAX_ROTATIONS:
            raise UnboundedGroupError(f"they generate more than {MAX_ROTATIONS} rotations")
    return torch.stack(group)


def symmetric_angle(first: Tensor, second: Tensor, symmetry: Symmetry) -> Tensor:
    """Compute the angle between two orientations of an object, modulo its symmetries.

    Args:
        first: (..., 3, 3), world from object.
        second: (..., 3, 3), world from object, broadcasts with `first`.
        symmetry: of the object.

    Returns:
        (...), radians in [0, π]: the minimum over symmetries S of the angle from `first` to `second` S. With
        a symmetry axis, this is the angle between the directions of the axis.
    """
    if symmetry.spherical:
        return (first * second).sum((-1, -2)) * 0
    candidates = second[..., None, :, :] @ symmetry.discrete.to(second)  # (..., S, 3, 3)
    if symmetry.axis is None:
        return geodesic_angle(first[..., None, :, :], candidates).amin(-1)
    axis = symmetry.axis.to(second)
    return angle_between((first @ axis)[..., None, :], candidates @ axis).amin(-1)
