"""Evaluation of residual networks that skips the positions that have halted.

The halting loop and rules are those of training. Only the step differs: it stores features as rows and
computes the residual branch where a position is alive, its second convolution there, its first one there and
at the neighbours. The first unit is dense. Batch norms are folded to scales and shifts.

A map is stored as rows, one for each position of each image with a border of one: row (b, y, x) of
(B, H + 2, W + 2) has C channels, and the neighbours of row i are at fixed offsets from i. A 3×3 convolution
at some positions gathers their neighbourhoods as rows of a small buffer, which is reused, and multiplies
these by a matrix; where gathering would be slower, the whole map is convolved.

Alternatives that were measured, on one thread: advanced indexing and gathering of row triples were slower;
dense convolutions of active tiles of 8×8 positions with a margin took as long even without gathering and
scattering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from inverse_graphics.halting import Step, Thresholded, ponder
from inverse_graphics.models.residual.block import (
    AdaptiveBlock,
    BlockKind,
    BlockOutput,
    HaltingMap,
    ResidualUnit,
)
from inverse_graphics.models.residual.network import NetworkOutput, ResidualNetwork

ROWS_PER_BATCH = 2048
"""Neighbourhoods that are gathered before they are multiplied: 1 to 5 MB, which fit in caches."""

GATHER_COST = 34
"""Multiply-adds in the time of gathering one number: measured with 16, 32 and 64 channels."""


@dataclass(frozen=True)
class RowLayout:
    """The layout of B maps of H by W as rows.

    Attributes:
        images: B.
        height: H.
        width: W.
    """

    images: int
    height: int
    width: int

    @property
    def rows(self) -> int:
        """R, the number of rows, borders included."""
        return self.images * (self.height + 2) * (self.width + 2)

    @property
    def offsets(self) -> Tensor:
        """Offsets from a row to its neighbours, in the order of a kernel's weights: (9,) int64."""
        step = torch.arange(-1, 2)
        return (step[:, None] * (self.width + 2) + step).flatten()

    def framed(self, values: Tensor) -> Tensor:
        """View rows (R, C) as (B, H + 2, W + 2, C)."""
        return values.view(self.images, self.height + 2, self.width + 2, -1)

    def rows_of(self, features: Tensor) -> Tensor:
        """Convert features (B, C, H, W) to rows (R, C), with zeros on the border."""
        rows = features.new_zeros(self.rows, features.shape[1])
        self.framed(rows)[:, 1:-1, 1:-1] = features.permute(0, 2, 3, 1)
        return rows

    def map_of(self, rows: Tensor) -> Tensor:
        """Convert rows (R, C) to a map (B, C, H, W)."""
        return self.framed(rows)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)

    def places(self, positions: Tensor) -> Tensor:
        """Row indices (M,) of the true positions.

        Args:
            positions: (B, H, W) bool.
        """
        return pad(positions, (1, 1, 1, 1)).flatten().nonzero()[:, 0]

    def sum_over_neighbours(self, contributions: Tensor) -> Tensor:
        """Sum, at each position, the contributions of its nine neighbours: (B, H, W).

        Args:
            contributions: (9, R), of each row to the position at each offset.
        """
        total = contributions.new_zeros(self.rows)
        margin = self.width + 3
        for part, offset in zip(contributions, self.offsets.tolist(), strict=True):
            total[margin:-margin] += part[margin + offset : self.rows - margin + offset]
        return self.framed(total)[:, 1:-1, 1:-1, 0]

    def without_border(self, rows: Tensor) -> Tensor:
        """Set the border to zero, in place."""
        framed = self.framed(rows)
        framed[:, 0] = 0
        framed[:, -1] = 0
        framed[:, :, 0] = 0
        framed[:, :, -1] = 0
        return rows


def convolved(rows: Tensor, places: Tensor, layout: RowLayout, kernel: Tensor) -> Tensor:
    """Apply a 3×3 convolution at some positions: (M, outputs).

    Args:
        rows: (R, inputs), zeros on the border.
        places: (M,), row indices.
        layout: of the rows.
        kernel: (9 inputs, outputs), as from `kernel_rows`.
    """
    number, inputs = len(places), rows.shape[1]
    if not gathering_is_faster(number, layout, kernel.shape[1]):
        return convolved_everywhere(rows, layout, kernel).index_select(0, places)
    result = rows.new_empty(number, kernel.shape[1])
    neighbours = (places[:, None] + layout.offsets).flatten()
    buffer = rows.new_empty(min(number, ROWS_PER_BATCH) * 9, inputs)
    for first in range(0, number, ROWS_PER_BATCH):
        last = min(first + ROWS_PER_BATCH, number)
        gathered = buffer[: (last - first) * 9]
        torch.index_select(rows, 0, neighbours[first * 9 : last * 9], out=gathered)
        torch.mm(gathered.view(last - first, 9 * inputs), kernel, out=result[first:last])
    return result


def convolved_everywhere(rows: Tensor, layout: RowLayout, kernel: Tensor) -> Tensor:
    """Apply the convolution at every row: (R, outputs); values on the border are undefined."""
    inputs, outputs = rows.shape[1], kernel.shape[1]
    weight = kernel.view(3, 3, inputs, outputs).permute(3, 2, 0, 1)
    result = conv2d(layout.framed(rows).permute(0, 3, 1, 2), weight, padding=1)
    return result.permute(0, 2, 3, 1).reshape(-1, outputs)


def gathering_is_faster(number: int, layout: RowLayout, outputs: int) -> bool:
    """Whether gathering and multiplying `number` neighbourhoods is faster than convolving the whole map."""
    return number * (1 + GATHER_COST / outputs) < layout.rows


def kernel_rows(weight: Tensor) -> Tensor:
    """Convert a convolution's weight (outputs, inputs, 3, 3) to a matrix (9 inputs, outputs)."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0]).contiguous()


class FoldedUnit:
    """A residual unit in evaluation: u ↦ F(u) as scale, shift, ReLU, matrix, shift, ReLU, matrix."""

    def __init__(self, unit: ResidualUnit) -> None:
        self.scale, self.shift = _scale_and_shift(unit.norm1)
        after, self.bias = _scale_and_shift(unit.norm2)
        self.kernel1 = kernel_rows(unit.conv1.weight) * after
        self.kernel2 = kernel_rows(unit.conv2.weight)

    def branch(
        self, rows: Tensor, inner: Tensor, layout: RowLayout, active: Tensor, places: Tensor
    ) -> Tensor:
        """Compute F at some positions: (M, C).

        Args:
            rows: (R, C).
            inner: (R, C), a buffer with zeros on the border.
            layout: of the rows.
            active: (B, H, W) bool.
            places: (M,), row indices of the active positions.
        """
        activated = layout.without_border(torch.addcmul(self.shift, rows, self.scale).relu_())
        around = dilated(active)
        if gathering_is_faster(int(around.sum()), layout, len(self.bias)):
            near = layout.places(around)
            values = convolved(activated, near, layout, self.kernel1).add_(self.bias).relu_()
            inner.index_copy_(0, near, values)
        else:
            everywhere = convolved_everywhere(activated, layout, self.kernel1).add_(self.bias).relu_()
            inner = layout.without_border(everywhere)
        return convolved(inner, places, layout, self.kernel2)


class FoldedHalt:
    """A halting map in evaluation: it has a single channel, so that it is fastest for the whole map."""

    def __init__(self, halts: HaltingMap) -> None:
        assert halts.near.bias is not None
        self.near = halts.near.weight[0].flatten(1).mT.contiguous()  # (9, C)
        self.far, self.bias = halts.far.weight[0], halts.near.bias

    def logits(self, rows: Tensor, layout: RowLayout) -> Tensor:
        """Logits (B, H, W): the contributions of every row to its neighbours, summed at each position."""
        contributions = self.near @ rows.mT
        means = layout.framed(rows).sum((1, 2)) / (layout.height * layout.width)
        return layout.sum_over_neighbours(contributions) + (means @ self.far + self.bias)[:, None, None]


class Features:
    """Features as rows (R, C) while a block runs, and the selected features.

    The weighted mean of the states u_l, Σ p_l u_l, is u_0 + Σ alive_l F_l, with the weight alive_l before
    unit l (Abel's summation). Under rules that choose one state it is the last one: the same rows.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = self.selected = rows

    def add(self, places: Tensor, branch: Tensor, alive: Tensor) -> None:
        """Add a unit's branch.

        Args:
            places: (M,), row indices.
            branch: (M, C).
            alive: (M,), in (0, 1].
        """
        if self.selected is self.rows and bool((alive < 1).any()):
            self.selected = self.rows.clone()
        self.rows.index_add_(0, places, branch)
        if self.selected is not self.rows:
            self.selected.index_add_(0, places, branch * alive[:, None])


class CompactedBlock:
    """An `AdaptiveBlock` in evaluation mode, with its batch norms folded.

    Raises:
        ValueError: the block is in training mode, where batch norms depend on the batch.
    """

    def __init__(self, block: AdaptiveBlock) -> None:
        if block.training:
            raise ValueError("a block in training mode cannot be compacted: call eval() first")
        self.block = block
        with torch.no_grad():
            self.units = [FoldedUnit(unit) for unit in block.residual_units[1:]]
            self.halts = [FoldedHalt(halts) for halts in block.halting_maps]

    @torch.no_grad()
    def __call__(
        self, features: Tensor, kind: BlockKind, generator: torch.Generator | None = None
    ) -> BlockOutput:
        """Run as `AdaptiveBlock.forward`, to rounding; logits of latents that have halted are undefined."""
        first = self.block.units[0](features)
        size = first.shape[-2], first.shape[-1]
        layout = RowLayout(len(first), *size)
        current = Features(layout.rows_of(first))
        inner = torch.zeros_like(current.rows)

        def step(_: None, index: int, log_alive: Tensor | None) -> Step[None, None]:
            if log_alive is None:
                active = first.new_ones(len(first), *size, dtype=torch.bool)
            else:
                alive = kind.granularity.spread(log_alive, *size)
                active = torch.isfinite(alive)
                places = layout.places(active)
                branch = self.units[index - 1].branch(current.rows, inner, layout, active, places)
                current.add(places, branch, alive[active].exp())
            return Step(self._halt_logits(index, current.rows, layout, active, kind), None, None)

        rule = kind.halting or Thresholded()
        pondering = ponder(step, None, len(self.block.units), rule, generator)
        return BlockOutput(layout.map_of(current.selected), pondering, kind.granularity)

    def _halt_logits(
        self, index: int, rows: Tensor, layout: RowLayout, active: Tensor, kind: BlockKind
    ) -> Tensor:
        """(B, h, w); −∞ where nothing halts, undefined where all has."""
        logits = rows.new_full(active.shape, -torch.inf)
        if kind.halting is None or index == len(self.halts):
            return kind.granularity.share(logits)
        logits = torch.where(active, self.halts[index].logits(rows, layout), logits)
        return self.block.halting_maps[index].clipped(kind.granularity.share(logits))


def dilated(active: Tensor) -> Tensor:
    """Dilate a mask by one: the positions and their eight neighbours.

    Args:
        active: (B, H, W) bool.
    """
    rows = pad(active, (0, 0, 1, 1))
    rows = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    columns = pad(rows, (1, 1))
    return columns[..., :-2] | columns[..., 1:-1] | columns[..., 2:]


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


class CompactedNetwork:
    """A network in evaluation mode, with copies of its current parameters; same outputs to rounding.

    Raises:
        ValueError: the network is in training mode.
    """

    def __init__(self, network: ResidualNetwork) -> None:
        self.network = network
        self.blocks = [CompactedBlock(block) for block in network.adaptive_blocks]

    @torch.no_grad()
    def __call__(
        self,
        images: Tensor,
        kinds: BlockKind | Sequence[BlockKind] | None = None,
        generator: torch.Generator | None = None,
    ) -> NetworkOutput:
        """Run as `ResidualNetwork.forward`."""
        features, outputs = self.network.stem(images), []
        for block, kind in zip(self.blocks, self.network.kinds(kinds), strict=True):
            output = block(features, kind, generator)
            features = output.features
            outputs.append(output)
        return NetworkOutput(self.network.answers(features), outputs)
