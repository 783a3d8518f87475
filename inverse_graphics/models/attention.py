"""Spatial-transformer windows: where the network looks, and where it draws.

A window is an axis-aligned square of the image, z_where = (s, x, y): its centre (x, y) in [−1, 1], x to the
right and y down, and its inverse scale s, so that it spans 2 / s of the image's extent of 2. Bilinear
sampling of such a window separates into one small matrix per axis, which is faster than a general sampler
and has the same values.  Source: Jaderberg et al. 2015, "Spatial Transformer Networks", equations 1 and 5.
"""

from __future__ import annotations

import torch
from torch import Tensor


def read_window(images: Tensor, where: Tensor, size: int) -> Tensor:
    """Sample a window of each image.

    images: (B, H, W).  where: (B, 3), inverse scale and centre.  Returns (B, size, size); zero outside.
    """
    inverse_scale, x, y = where.unbind(-1)
    grid = _centres(size, images)
    columns = x[:, None] + grid / inverse_scale[:, None]
    rows = y[:, None] + grid / inverse_scale[:, None]
    height, width = images.shape[-2:]
    return _hat(rows, height) @ images @ _hat(columns, width).mT


def write_window(glimpses: Tensor, where: Tensor, height: int, width: int) -> Tensor:
    """Draw a glimpse into the window of an empty image: (B, height, width).

    glimpses: (B, size, size).  where: (B, 3), inverse scale and centre.
    """
    inverse_scale, x, y = where.unbind(-1)
    columns = (_centres(width, glimpses) - x[:, None]) * inverse_scale[:, None]
    rows = (_centres(height, glimpses) - y[:, None]) * inverse_scale[:, None]
    size = glimpses.shape[-1]
    return _hat(rows, size) @ glimpses @ _hat(columns, size).mT


def window_box(where: Tensor, height: int, width: int) -> Tensor:
    """The window's corner and extent x, y, width, height in pixels: (..., 4)."""
    inverse_scale, x, y = where.unbind(-1)
    extent_x, extent_y = width / inverse_scale, height / inverse_scale
    centre_x, centre_y = (x + 1) * width / 2, (y + 1) * height / 2
    return torch.stack([centre_x - extent_x / 2, centre_y - extent_y / 2, extent_x, extent_y], dim=-1)


def _centres(count: int, like: Tensor) -> Tensor:
    """Centres of `count` equal cells of [−1, 1]: (count,)."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) * 2 + 1) / count - 1


def _hat(coordinates: Tensor, cells: int) -> Tensor:
    """Linear-interpolation weights of `cells` cells at coordinates (B, K) in [−1, 1]: (B, K, cells)."""
    position = (coordinates + 1) * (cells / 2) - 0.5
    index = torch.arange(cells, device=coordinates.device, dtype=coordinates.dtype)
    return (1 - (position[..., None] - index).abs()).clamp_min(0)
