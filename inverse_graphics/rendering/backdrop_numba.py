"""The table and the background on the CPU: one compiled pass over the pixels forward, one backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.rendering.kernels import in_chunks, inner, kernel

Arrays = list[NDArray[Any]]

MIN_COVERAGE = 1e-6  # as in `backdrop`; kernels keep their constants beside them, for numba's disk cache
EPS = 1e-30


class Paint(torch.autograd.Function):
    """`backdrop.paint_in_torch`; arguments: height, width, and the tensors of a `Plan`."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Render rgb (B, 3, H, W), coverage (B, H, W) and depth (B, H, W)."""
        height, width, *tensors = arguments
        plan = [tensor.detach().contiguous() for tensor in tensors]
        scenes = len(plan[0])
        rgb = plan[0].new_empty(scenes, 3, height, width)
        coverage, depth = plan[0].new_empty(2, scenes, height, width)
        paint([tensor.numpy() for tensor in plan], rgb.numpy(), coverage.numpy(), depth.numpy())
        ctx.save_for_backward(*plan)
        return rgb, coverage, depth

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Sum the gradients of all pixels in each entry of the plan."""
        plan = [tensor.numpy() for tensor in ctx.saved_tensors]
        sums = [np.zeros_like(array) for array in plan[:4]]
        from_rgb, from_coverage, from_depth = (gradient.contiguous().numpy() for gradient in gradients)
        paint_backward(plan, from_rgb, from_coverage, from_depth, sums)
        return (None, None, *(torch.from_numpy(array) for array in sums), None)


def paint(plan: Arrays, rgb: NDArray[Any], coverage: NDArray[Any], depth: NDArray[Any]) -> None:
    """Render the backdrop of B scenes; plan: the five tensors of a `Plan`, as arrays."""
    in_chunks(lambda start, stop: _forward(start, stop, *plan, rgb, coverage, depth), len(rgb))


def paint_backward(
    plan: Arrays,
    from_rgb: NDArray[Any],
    from_coverage: NDArray[Any],
    from_depth: NDArray[Any],
    sums: Arrays,
) -> None:
    """The backward pass of `paint`; writes to sums: shaped like the first four tensors of the plan."""
    given = (from_rgb, from_coverage, from_depth)
    in_chunks(lambda start, stop: _backward(start, stop, *plan, *given, *sums), len(from_rgb))


@inner
def _distance(line: NDArray[Any], column: int, row: int) -> float:
    return line[0] * (column + 0.5) + line[1] * (row + 0.5) + line[2]


@inner
def _shares(
    row: int, sides: NDArray[Any], present: float, inverse_depth: NDArray[Any], out: NDArray[np.float64]
) -> None:
    """The table's share of each pixel of a row, and its depth there, +inf for none; out: (2, W)."""
    for column in range(out.shape[1]):
        share = float(present)
        for k in range(4):
            share *= min(max(_distance(sides[k], column, row) + 0.5, 0.0), 1.0)
        inverse = _distance(inverse_depth, column, row)
        seen = share >= MIN_COVERAGE and inverse > EPS
        out[0, column] = share
        out[1, column] = 1 / inverse if seen else np.inf


@kernel
def _forward(
    start: int,
    stop: int,
    sides: NDArray[Any],
    inverse_depth: NDArray[Any],
    table: NDArray[Any],
    background: NDArray[Any],
    present: NDArray[Any],
    rgb: NDArray[Any],
    coverage: NDArray[Any],
    depth: NDArray[Any],
) -> None:
    """Scenes start … stop − 1."""
    width = coverage.shape[2]
    line = np.empty((2, width))
    for b in range(start, stop):
        for row in range(coverage.shape[1]):
            _shares(row, sides[b], present[b], inverse_depth[b], line)
            for column in range(width):
                coverage[b, row, column] = line[0, column]
                depth[b, row, column] = line[1, column]
            for c in range(3):
                on, off = table[b, c], background[b, c]
                for column in range(width):
                    rgb[b, c, row, column] = line[0, column] * on + (1 - line[0, column]) * off


@kernel
def _backward(
    start: int,
    stop: int,
    sides: NDArray[Any],
    inverse_depth: NDArray[Any],
    table: NDArray[Any],
    background: NDArray[Any],
    present: NDArray[Any],
    from_rgb: NDArray[Any],
    from_coverage: NDArray[Any],
    from_depth: NDArray[Any],
    to_sides: NDArray[Any],
    to_inverse_depth: NDArray[Any],
    to_table: NDArray[Any],
    to_background: NDArray[Any],
) -> None:
    """Scenes start … stop − 1; sums run in float64."""
    width = from_depth.shape[2]
    line = np.empty((2, width))
    for b in range(start, stop):
        lines, depths, tables, backgrounds = np.zeros((4, 3)), np.zeros(3), np.zeros(3), np.zeros(3)
        for row in range(from_depth.shape[1]):
            _shares(row, sides[b], present[b], inverse_depth[b], line)
            y = row + 0.5
            for c in range(3):
                by_table, by_background = 0.0, 0.0
                for column in range(width):
                    by_table += from_rgb[b, c, row, column] * line[0, column]
                    by_background += from_rgb[b, c, row, column] * (1 - line[0, column])
                tables[c] += by_table
                backgrounds[c] += by_background
            for column in range(width):
                x = column + 0.5
                if line[1, column] < np.inf:
                    by_depth = -from_depth[b, row, column] * line[1, column] ** 2
                    depths[0] += by_depth * x
                    depths[1] += by_depth * y
                    depths[2] += by_depth
                share = line[0, column]
                if not 0 < share < 1:
                    continue
                slope = float(from_coverage[b, row, column])
                for c in range(3):
                    slope += from_rgb[b, c, row, column] * (table[b, c] - background[b, c])
                for k in range(4):
                    factor = _distance(sides[b, k], column, row) + 0.5
                    if 0 < factor < 1:
                        by_side = slope * share / factor
                        lines[k, 0] += by_side * x
                        lines[k, 1] += by_side * y
                        lines[k, 2] += by_side
        for c in range(3):
            to_inverse_depth[b, c], to_table[b, c], to_background[b, c] = depths[c], tables[c], backgrounds[c]
            for k in range(4):
                to_sides[b, k, c] = lines[k, c]
