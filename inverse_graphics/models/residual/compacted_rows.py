"""3×3 convolutions at some positions only: their neighbourhoods, gathered as rows, times a matrix.

A map is kept as rows, one for each position of each image with a border of one around it: row (b, y, x) of
(B, H + 2, W + 2) has C channels. The neighbours of row i are then i + a fixed offset.

Neighbourhoods are gathered into a small buffer that is used again; where so many are wanted that gathering
takes longer than a convolution of everything, that is what is done. Tried beside it, on one thread: advanced
indexing and gathering row triples were slower; dense convolutions of active tiles of 8×8 positions with
a margin took as long even without gathering and scattering them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

ROWS_AT_ONCE = 2048
"""Neighbourhoods that are gathered before they are multiplied: 1 to 5 MB, which caches hold."""

GATHERING = 34
"""Multiply-adds in the time that it takes to gather a number: measured with 16, 32 and 64 channels."""


@dataclass(frozen=True)
class RowLayout:
    """Where positions of B maps of H by W stand among the rows."""

    images: int
    height: int
    width: int

    @property
    def rows(self) -> int:
        """How many there are, borders counted."""
        return self.images * (self.height + 2) * (self.width + 2)

    @property
    def offsets(self) -> Tensor:
        """(9,) int64: from a row to its neighbours, in the order of a kernel's weights."""
        step = torch.arange(-1, 2)
        return (step[:, None] * (self.width + 2) + step).flatten()

    def framed(self, values: Tensor) -> Tensor:
        """(B, H + 2, W + 2, C) of rows (R, C)."""
        return values.view(self.images, self.height + 2, self.width + 2, -1)

    def rows_of(self, features: Tensor) -> Tensor:
        """(R, C) of (B, C, H, W), zeros on the border."""
        made = features.new_zeros(self.rows, features.shape[1])
        self.framed(made)[:, 1:-1, 1:-1] = features.permute(0, 2, 3, 1)
        return made

    def map_of(self, rows: Tensor) -> Tensor:
        """(B, C, H, W) of (R, C)."""
        return self.framed(rows)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)

    def places(self, positions: Tensor) -> Tensor:
        """Row numbers (M,) of the true positions of (B, H, W) bool."""
        return pad(positions, (1, 1, 1, 1)).flatten().nonzero()[:, 0]

    def gathered(self, told: Tensor) -> Tensor:
        """(B, H, W) of (9, R): of each position the sum of what its nine neighbours' rows tell it."""
        total = told.new_zeros(self.rows)
        margin = self.width + 3
        for part, offset in zip(told, self.offsets.tolist(), strict=True):
            total[margin:-margin] += part[margin + offset : self.rows - margin + offset]
        return self.framed(total)[:, 1:-1, 1:-1, 0]

    def without_border(self, rows: Tensor) -> Tensor:
        """The same rows, zeroed on the border in place."""
        framed = self.framed(rows)
        framed[:, 0] = 0
        framed[:, -1] = 0
        framed[:, :, 0] = 0
        framed[:, :, -1] = 0
        return rows


def convolved(rows: Tensor, places: Tensor, layout: RowLayout, kernel: Tensor) -> Tensor:
    """A 3×3 convolution at these places: (M, outputs).

    rows: (R, inputs), zeros on the border.  places: (M,).  kernel: (9 inputs, outputs), as `kernel_rows`.
    """
    number, inputs = len(places), rows.shape[1]
    if not gathering_pays(number, layout, kernel.shape[1]):
        return convolved_everywhere(rows, layout, kernel).index_select(0, places)
    made = rows.new_empty(number, kernel.shape[1])
    neighbours = (places[:, None] + layout.offsets).flatten()
    buffer = rows.new_empty(min(number, ROWS_AT_ONCE) * 9, inputs)
    for first in range(0, number, ROWS_AT_ONCE):
        last = min(first + ROWS_AT_ONCE, number)
        seen = buffer[: (last - first) * 9]
        torch.index_select(rows, 0, neighbours[first * 9 : last * 9], out=seen)
        torch.mm(seen.view(last - first, 9 * inputs), kernel, out=made[first:last])
    return made


def convolved_everywhere(rows: Tensor, layout: RowLayout, kernel: Tensor) -> Tensor:
    """The convolution at every row, that of the border being of no meaning: (R, outputs)."""
    inputs, outputs = rows.shape[1], kernel.shape[1]
    weight = kernel.view(3, 3, inputs, outputs).permute(3, 2, 0, 1)
    made = conv2d(layout.framed(rows).permute(0, 3, 1, 2), weight, padding=1)
    return made.permute(0, 2, 3, 1).reshape(-1, outputs)


def gathering_pays(number: int, layout: RowLayout, outputs: int) -> bool:
    """Whether so many neighbourhoods are gathered and multiplied sooner than everything is convolved."""
    return number * (1 + GATHERING / outputs) < layout.rows


def kernel_rows(weight: Tensor) -> Tensor:
    """(9 inputs, outputs) of a convolution's weight (outputs, inputs, 3, 3)."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0]).contiguous()
