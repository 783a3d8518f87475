"""The recurrent state of networks without a renderer.

It is updated with each inferred object and the image's features at its position. Source: the recurrent
network of Eslami et al. 2016, section 2.1, with the gated unit of Cho et al. 2014.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, one_hot, relu

from inverse_graphics.models.air3d.features import STRIDE, coordinates
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.scene.batch import CameraBatch


class Hidden(NamedTuple):
    """The recurrent state.

    Attributes:
        units: (B, U).
    """

    units: Tensor


class ObjectEncoding(NamedTuple):
    """The latents of one object of each image, encoded as input of the state's update.

    Attributes:
        pixel: (B, 2), column and row of its origin in the image, pixels.
        numbers: (B, S), encoding of its kind and orientation.
    """

    pixel: Tensor
    numbers: Tensor

    @classmethod
    def from_latents(
        cls,
        asset: Tensor,
        position: Tensor,
        orientation: Tensor,
        orbit: Tensor,
        camera: CameraBatch,
        space: SceneSpace,
    ) -> ObjectEncoding:
        """Encode sampled objects; yaws relative to the camera, zeros for unobservable orientations.

        Args:
            asset: (B,), kinds.
            position: (B, 2), metres on the scene's plane.
            orientation: (B,) yaws, radians, or (B, 3, 3) rotations.
            orbit: (B, 3), orbits of the cameras.
            camera: the cameras.
            space: the scene space.
        """
        if space.floating:
            encoded = orientation.flatten(1)
        else:
            yaw = orientation - orbit[:, 0]
            encoded = torch.stack([yaw.cos(), yaw.sin()], dim=-1)
        kind = one_hot(asset, len(space.orientation_observable)).to(position)
        pixel = space.pixel_from_plane(position[:, None], camera)[:, 0]
        return cls(pixel, torch.cat([kind, encoded * space.orientation_observable[asset, None]], dim=-1))

    @staticmethod
    def size(space: SceneSpace) -> int:
        """S, the size of `numbers`."""
        return len(space.orientation_observable) + (9 if space.floating else 2)

    def detached(self) -> ObjectEncoding:
        """The same without gradient."""
        return ObjectEncoding(self.pixel.detach(), self.numbers.detach())


class Recurrence(nn.Module):
    """Updates the state with an object and the image's features at its position."""

    def __init__(self, channels: int, encoding: int, units: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(channels + 2 + encoding, units)

    def begin(self, images: Tensor) -> Hidden:
        """The state before the first object: zeros."""
        return Hidden(images.new_zeros(len(images), self.cell.hidden_size))

    def forward(self, before: Hidden, fine: Tensor, encoding: ObjectEncoding) -> Hidden:
        """Update the state with an object.

        Args:
            before: the state.
            fine: (B, C, H/4, W/4), the image's fine map.
            encoding: the object.
        """
        size = encoding.pixel.new_tensor([fine.shape[-1], fine.shape[-2]]) * STRIDE
        place = 2 * encoding.pixel / size - 1
        there = grid_sample(fine.to(place), place[:, None, None], align_corners=False)[:, :, 0, 0]
        return Hidden(self.cell(torch.cat([there, place, encoding.numbers], dim=-1), before.units))


class Broadcast(nn.Module):
    """Broadcasts a vector to a feature map, combined with the coordinates of each cell.

    Source: Watters et al. 2019, "Spatial broadcast decoder".
    """

    UNITS = 64

    def __init__(self, units: int, channels: int, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.spread = nn.Linear(units, self.UNITS)
        self.place = nn.Conv2d(2, self.UNITS, 1)
        self.output = nn.Conv2d(self.UNITS, channels, 1)

    def forward(self, vector: Tensor) -> Tensor:
        """Broadcast vectors (B, U) to maps (B, C, cells, cells)."""
        place = self.place(coordinates(vector.new_zeros(1, 1, self.cells, self.cells)))
        features: Tensor = self.output(relu(self.spread(vector)[:, :, None, None] + place))
        return features
