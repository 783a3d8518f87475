"""The table and the background on the CPU: one compiled pass over the pixels forward, one backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.render.kernels import in_chunks, inner, kernel

NOTHING = 1e-6  # as in `backdrop`; kernels keep their constants beside them, for numba's disk cache
TINIEST = 1e-30


class Paint(torch.autograd.Function):
    """`backdrop.paint_in_torch`; arguments: height, width, and the tensors of a `Plan`."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Draw rgb (B, 3, H, W), coverage (B, H, W) and depth (B, H, W)."""
        height, width, *tensors = arguments
        plan = [tensor.detach().contiguous() for tensor in tensors]
        scenes = len(plan[0])
        rgb = plan[0].new_empty(scenes, 3, height, width)
        coverage, depth = plan[0].new_empty(2, scenes, height, width)
        arrays = [tensor.numpy() for tensor in (*plan, rgb, coverage, depth)]
        in_chunks(lambda start, stop: _forward(start, stop, *arrays), scenes)
        ctx.save_for_backward(*plan, coverage, depth)
        return rgb, coverage, depth

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Sum what all pixels ask of each number of the plan."""
        sides, inverse_depth, table, background, _, coverage, depth = (t.numpy() for t in ctx.saved_tensors)
        saved = (sides, table, background, coverage, depth)
        given = [gradient.contiguous().numpy() for gradient in gradients]
        sums = [np.zeros_like(array) for array in (sides, inverse_depth, table, background)]
        in_chunks(lambda start, stop: _backward(start, stop, *saved, *given, *sums), len(sides))
        return (None, None, *(torch.from_numpy(array) for array in sums), None)


@inner
def _distance(line: NDArray[Any], column: int, row: int) -> float:
    return line[0] * (column + 0.5) + line[1] * (row + 0.5) + line[2]


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
    for b in range(start, stop):
        for row in range(coverage.shape[1]):
            for column in range(coverage.shape[2]):
                share = float(present[b])
                for k in range(4):
                    share *= min(max(_distance(sides[b, k], column, row) + 0.5, 0.0), 1.0)
                coverage[b, row, column] = share
                for c in range(3):
                    rgb[b, c, row, column] = share * table[b, c] + (1 - share) * background[b, c]
                inverse = _distance(inverse_depth[b], column, row)
                seen = share >= NOTHING and inverse > TINIEST
                depth[b, row, column] = 1 / inverse if seen else np.inf


@kernel
def _backward(
    start: int,
    stop: int,
    sides: NDArray[Any],
    table: NDArray[Any],
    background: NDArray[Any],
    coverage: NDArray[Any],
    depth: NDArray[Any],
    from_rgb: NDArray[Any],
    from_coverage: NDArray[Any],
    from_depth: NDArray[Any],
    to_sides: NDArray[Any],
    to_inverse_depth: NDArray[Any],
    to_table: NDArray[Any],
    to_background: NDArray[Any],
) -> None:
    """Scenes start … stop − 1; sums run in float64."""
    factor = np.empty(4)
    for b in range(start, stop):
        lines, depths, tables, backgrounds = np.zeros((4, 3)), np.zeros(3), np.zeros(3), np.zeros(3)
        for row in range(coverage.shape[1]):
            for column in range(coverage.shape[2]):
                share = float(coverage[b, row, column])
                slope = float(from_coverage[b, row, column])
                for c in range(3):
                    given = from_rgb[b, c, row, column]
                    tables[c] += given * share
                    backgrounds[c] += given * (1 - share)
                    slope += given * (table[b, c] - background[b, c])
                x, y = column + 0.5, row + 0.5
                if share > 0 and share < 1:
                    for k in range(4):
                        factor[k] = min(max(_distance(sides[b, k], column, row) + 0.5, 0.0), 1.0)
                    for k in range(4):
                        if 0 < factor[k] < 1:
                            by_side = slope * share / factor[k]
                            lines[k, 0] += by_side * x
                            lines[k, 1] += by_side * y
                            lines[k, 2] += by_side
                if depth[b, row, column] < np.inf:
                    by_depth = -from_depth[b, row, column] * float(depth[b, row, column]) ** 2
                    depths[0] += by_depth * x
                    depths[1] += by_depth * y
                    depths[2] += by_depth
        for c in range(3):
            to_inverse_depth[b, c], to_table[b, c], to_background[b, c] = depths[c], tables[c], backgrounds[c]
            for k in range(4):
                to_sides[b, k, c] = lines[k, c]
