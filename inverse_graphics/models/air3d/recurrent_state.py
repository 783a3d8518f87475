"""A recurrent state: what a network without a renderer carries from step to step.

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
    """units: (B, U)."""

    units: Tensor


class ObjectEncoding(NamedTuple):
    """The inferred latents of one object of each image, as inputs of the state's update.

    Attributes:
        pixel: (B, 2), column and row of its origin in the image.
        numbers: (B, S), its kind and its orientation.
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
        """Encode sampled objects: a yaw relative to the camera, no orientation where none is observable.

        Args:
            asset: (B,).
            position: (B, 2), metres on the scene's plane.
            orientation: (B,) yaws, radians, or (B, 3, 3) rotations.
            orbit: (B, 3) and its camera.
        """
        if space.floating:
            turned = orientation.flatten(1)
        else:
            yaw = orientation - orbit[:, 0]
            turned = torch.stack([yaw.cos(), yaw.sin()], dim=-1)
        kind = one_hot(asset, len(space.orientation_observable)).to(position)
        pixel = space.pixel_from_plane(position[:, None], camera)[:, 0]
        return cls(pixel, torch.cat([kind, turned * space.orientation_observable[asset, None]], dim=-1))

    @staticmethod
    def size(space: SceneSpace) -> int:
        """S, how many numbers there are beside the pixel."""
        return len(space.orientation_observable) + (9 if space.floating else 2)

    def detached(self) -> ObjectEncoding:
        """The same, held fixed."""
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
        """fine: (B, C, H/4, W/4), the image's fine map."""
        size = encoding.pixel.new_tensor([fine.shape[-1], fine.shape[-2]]) * STRIDE
        place = 2 * encoding.pixel / size - 1
        there = grid_sample(fine.to(place), place[:, None, None], align_corners=False)[:, :, 0, 0]
        return Hidden(self.cell(torch.cat([there, place, encoding.numbers], dim=-1), before.units))


class Broadcast(nn.Module):
    """Spreads a vector over a map, each cell of which has its coordinates.

    So a map's features can depend on how far its cells are from what the vector encodes. Source: Watters et
    al. 2019, "Spatial broadcast decoder".
    """

    UNITS = 64

    def __init__(self, units: int, channels: int, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.spread = nn.Linear(units, self.UNITS)
        self.place = nn.Conv2d(2, self.UNITS, 1)
        self.say = nn.Conv2d(self.UNITS, channels, 1)

    def forward(self, vector: Tensor) -> Tensor:
        """vector: (B, U).  Returns (B, C, cells, cells)."""
        place = self.place(coordinates(vector.new_zeros(1, 1, self.cells, self.cells)))
        told: Tensor = self.say(relu(self.spread(vector)[:, :, None, None] + place))
        return told
