"""The one place where this project's cameras become PyTorch3D's."""

from __future__ import annotations

import torch
from torch import Tensor

NEAREST = 1e-6  # metres: what lies nearer to the camera's plane is moved to this distance, so that it divides


def ndc_from_pixels(homogeneous: Tensor, height: int, width: int, margin: int = 0) -> Tensor:
    """Turn pixels (x right, y down) into PyTorch3D's normalised device coordinates (x left, y up).

    homogeneous: (..., 3): x·z, y·z in pixels·metres and z in metres, where the centre of the upper left pixel
    is (0.5, 0.5): K times a point in the camera's frame, so that any K is honoured.  height, width: pixels.
    margin: pixels that are added on each side of the picture.
    Returns (..., 3): x and y from −1 to 1 over the *shorter* side of the enlarged picture, and z in metres.
    """
    depth = homogeneous[..., 2:]
    side = torch.where(depth.detach() < 0, -NEAREST, NEAREST).to(depth.dtype)
    depth = torch.where(depth.detach().abs() < NEAREST, side, depth)
    size = homogeneous.new_tensor([width, height])
    centred = size / 2 - homogeneous[..., :2] / depth
    return torch.cat([centred * ndc_per_pixel(height, width, margin), depth], dim=-1)


def ndc_per_pixel(height: int, width: int, margin: int = 0) -> float:
    """Normalised device coordinates to the pixel, in a picture with `margin` pixels added on each side."""
    return 2 / (min(height, width) + 2 * margin)
