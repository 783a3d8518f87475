"""Spatial-transformer windows: where the network looks, and where it draws.

A window is an axis-aligned square of the image, z_where = (s, x, y): its centre (x, y) in [−1, 1], x to the
right and y down, and its inverse scale s, so that it spans 2 / s of the image's extent of 2. Bilinear
sampling of such a window separates into one small matrix per axis, which is faster than a general sampler
and has the same values.  Source: Jaderberg et al. 2015, "Spatial Transformer Networks", equations 1 and 5.

Where to look next, by a map of what is where.

A network of dense layers learns for each place anew what an object there looks like. A map shares that: two
convolutions say of each place what is seen there, a step attends to the place it wants most and those next
to it, and the window's centre is the mean place under that attention.  Sources: Levine et al. 2016,
"End-to-End Training of Deep Visuomotor Policies", the spatial soft arg-max; Lee et al. 2019, "SFNet", which
keeps it from answering between two things alike by a kernel about the best place.

How a window should have been laid, by what is seen in it.

A window is first laid by what is seen of the whole, which tells roughly where an object is. What it shows
tells better: an object off its centre, or half of each of two. Source: the idea of Dollár et al. 2010,
"Cascaded pose regression", that a pose is improved by features that are read by that pose.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad


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


CELL = 4
"""Pixels from place to place; what is seen at one are the two by two cells about its centre, and around it
those of its neighbours."""

LEAST = 1e-4
"""Mean square of pixels, grey levels², that a place has at least in its `salience`: one per cent of white."""


class Place(NamedTuple):
    """What a step attends to.  centre: (B, 2), x and y in [−1, 1].  seen: (B, S), what is there."""

    centre: Tensor
    seen: Tensor


class AimMap(nn.Module):
    """Maps (B, C, P) of images (B, H, W): what is seen at each of P places, row after row.

    channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(CELL**2, channels, 2)
        self.around = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """What is seen where."""
        return torch.relu(self.around(torch.relu(self.near(_in_cells(images))))).flatten(2)


def salience(images: Tensor) -> Tensor:
    """How much there is at each place, the logarithm of the mean square of its pixels: (B, P) of (B, H, W).

    No less than log `LEAST`, for places with nothing in them.
    """
    squares = _in_cells(images).square().mean(1)
    return torch.log(avg_pool2d(squares, 2, 1).flatten(1) + LEAST)


class PlaceAttention(nn.Module):
    """Attention to one place of a map.

    size: height and width of the images.  channels: C.  wanted: numbers that say what is wanted.
    """

    places: Tensor

    def __init__(self, size: int, channels: int, wanted: int) -> None:
        super().__init__()
        self.want = nn.Linear(wanted, channels + 2)
        self.cell = CELL * 2 / size
        centres = self.cell * (torch.arange(_cells(size) - 1, device="cpu") + 0.5) - 1
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy")).flatten(1)
        self.register_buffer("places", grid, persistent=False)

    def forward(
        self, maps: Tensor, wanted: Tensor, seen: Tensor | None = None, bias: Tensor | float = 0.0
    ) -> Place:
        """The place that is wanted most.

        The score of a place is linear in its features and its coordinates, so that of things alike one may
        be nearer to where a step likes to begin. Gradients are those of the mean over the best place and
        its eight neighbours; over all places it would lie between two things that are wanted alike.
        maps: (B, C, P).  wanted: (B, W).  seen: (B, S, P), what is to be told of the place, else the maps.
        bias: (B, P), added to the scores.
        """
        what, direction = self.want(wanted).split([maps.shape[1], 2], -1)
        scores = (what[:, None] @ maps)[:, 0] + direction @ self.places + bias
        best = self.places.mT[scores.argmax(-1)]
        apart = (self.places - best[..., None]).abs().amax(1)
        attention = torch.softmax(scores.masked_fill(apart > 1.5 * self.cell, -torch.inf), -1)
        seen = maps if seen is None else seen
        return Place(attention @ self.places.mT, (seen @ attention[..., None])[..., 0])


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
    """Pictures (B, G, G) seen in windows to changes of the windows' posteriors (B, 2 W), at first none.

    size: G.  hidden: units.  where: W, numbers that lay a window; means come before standard deviations.
    """

    def __init__(self, size: int, hidden: int, where: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size * size, hidden)
        self.change = nn.Linear(hidden, 2 * where)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, glimpses: Tensor) -> Tensor:
        """What is to be added to a window's mean and to what its standard deviation is made from."""
        return self.change(torch.relu(self.hidden(glimpses.flatten(1))))
