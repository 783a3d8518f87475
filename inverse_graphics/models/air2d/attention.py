"""Attention of the 2D model: spatial-transformer windows, the map that places them, their correction.

A window is an axis-aligned square of the image, z_where = (s, x, y): its centre (x, y) in [−1, 1], x to the
right and y down, and its inverse scale s, so that it spans 2 / s of the image's extent of 2. Bilinear
sampling of such a window separates into one small matrix per axis, which is faster than a general sampler
and has the same values.  Source: Jaderberg et al. 2015, "Spatial Transformer Networks", equations 1 and 5.

Location map: dense layers learn the appearance of an object at each position separately; a convolutional map
shares weights between positions. Two convolutions compute features at each position, a step attends to the
position with the highest score and its neighbours, and the window's centre is the mean position under that
attention.  Sources: Levine et al. 2016, "End-to-End Training of Deep Visuomotor Policies", the spatial soft
arg-max; Lee et al. 2019, "SFNet", whose kernel about the best position avoids an average of two modes.

Window correction: the first window is predicted from the whole image, which locates an object roughly. The
glimpse itself locates it better: it shows an object off its centre, or halves of two.  Source: Dollár et al.
2010, "Cascaded pose regression", where a pose is refined from features indexed by that pose.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad


def read_window(images: Tensor, where: Tensor, size: int) -> Tensor:
    """Sample a window of each image.

    Args:
        images: (B, H, W).
        where: (B, 3), inverse scale and centre.

    Returns:
        (B, size, size); zero outside.
    """
    inverse_scale, x, y = where.unbind(-1)
    grid = _centres(size, images)
    columns = x[:, None] + grid / inverse_scale[:, None]
    rows = y[:, None] + grid / inverse_scale[:, None]
    height, width = images.shape[-2:]
    return _hat(rows, height) @ images @ _hat(columns, width).mT


def write_window(glimpses: Tensor, where: Tensor, height: int, width: int) -> Tensor:
    """Write a glimpse to the window of an empty image: (B, height, width).

    Args:
        glimpses: (B, size, size).
        where: (B, 3), inverse scale and centre.
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


CELL = 4
"""Pixels between adjacent positions of the map.

The first convolution reads the 2 × 2 cells around a position, the second the features of its neighbours."""

LEAST = 1e-4
"""Lower bound of the mean squared pixel of a position in `salience`, grey levels²."""


class Place(NamedTuple):
    """The position that a step attends to.

    Attributes:
        centre: (B, 2), x and y in [−1, 1].
        features: (B, S), there.
    """

    centre: Tensor
    features: Tensor


class LocationMap(nn.Module):
    """Convolutional features (B, C, P) of images (B, H, W) at P positions, row by row.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(CELL**2, channels, 2)
        self.around = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, C, P) of images (B, H, W)."""
        return torch.relu(self.around(torch.relu(self.near(_in_cells(images))))).flatten(2)


def salience(images: Tensor) -> Tensor:
    """Logarithm of the mean squared pixel at each position: (B, P) of images (B, H, W).

    At least log `LEAST`, which is that of empty positions.
    """
    squares = _in_cells(images).square().mean(1)
    return torch.log(avg_pool2d(squares, 2, 1).flatten(1) + LEAST)


class LocationAttention(nn.Module):
    """Attention to one position of a map.

    Args:
        size: height and width of the images.
        channels: C.
        query: size Q of the query.
    """

    places: Tensor

    def __init__(self, size: int, channels: int, query: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, channels + 2)
        self.cell = CELL * 2 / size
        centres = self.cell * (torch.arange(_cells(size) - 1, device="cpu") + 0.5) - 1
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy")).flatten(1)
        self.register_buffer("places", grid, persistent=False)

    def forward(
        self, maps: Tensor, query: Tensor, features: Tensor | None = None, bias: Tensor | float = 0.0
    ) -> Place:
        """The position with the highest score.

        A score is linear in the features and the coordinates of a position; coordinates break ties between
        objects that look the same. The centre is the mean over the best position and its eight neighbours; a
        mean over all positions would lie between two objects of equal score.

        Args:
            maps: (B, C, P).
            query: (B, Q).
            features: (B, S, P), read at the position; the maps if not given.
            bias: (B, P), added to the scores.
        """
        what, direction = self.query(query).split([maps.shape[1], 2], -1)
        scores = (what[:, None] @ maps)[:, 0] + direction @ self.places + bias
        best = self.places.mT[scores.argmax(-1)]
        apart = (self.places - best[..., None]).abs().amax(1)
        attention = torch.softmax(scores.masked_fill(apart > 1.5 * self.cell, -torch.inf), -1)
        features = maps if features is None else features
        return Place(attention @ self.places.mT, (features @ attention[..., None])[..., 0])


def _cells(size: int) -> int:
    """Cells in a row of an image that has half a cell of margin before it, and less than a cell after it."""
    return -(-(size + CELL // 2) // CELL)


def _in_cells(images: Tensor) -> Tensor:
    """(B, H, W) to (B, 16, cells, cells), channels last in memory, as the CPU convolves fastest."""
    batch, size, _ = images.shape
    cells = _cells(size)
    before, after = CELL // 2, cells * CELL - size - CELL // 2
    padded = pad(images, (before, after, before, after)).view(batch, cells, CELL, cells, CELL)
    return padded.transpose(2, 3).reshape(batch, cells, cells, -1).permute(0, 3, 1, 2)


class WindowCorrection(nn.Module):
    """Maps glimpses (B, G, G) to corrections of the windows' posterior parameters (B, 2 W), initially zero.

    Args:
        size: G.
        hidden: units.
        where: W, parameters of a window; means come before standard deviations.
    """

    def __init__(self, size: int, hidden: int, where: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size * size, hidden)
        self.change = nn.Linear(hidden, 2 * where)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, glimpses: Tensor) -> Tensor:
        """Corrections of the mean and the unconstrained standard deviation of a window: (B, 2 W)."""
        return self.change(torch.relu(self.hidden(glimpses.flatten(1))))
