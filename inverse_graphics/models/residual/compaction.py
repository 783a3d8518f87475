"""A residual network evaluated without work where it has halted.

A block evaluated without work at positions that have halted; batch norms become scales and shifts.

The stick is broken by the same loop and the same rules as in training; what differs is the step, which holds
features as rows (`compacted_rows`) and computes the branch where something is alive: the second convolution
there, the first one there and at the neighbours. The first unit runs everywhere, and is dense.

3×3 convolutions at some positions only: their neighbourhoods, gathered as rows, times a matrix.

A map is kept as rows, one for each position of each image with a border of one around it: row (b, y, x) of
(B, H + 2, W + 2) has C channels. The neighbours of row i are then i + a fixed offset.

Neighbourhoods are gathered into a small buffer that is used again; where so many are wanted that gathering
takes longer than a convolution of everything, that is what is done. Tried beside it, on one thread: advanced
indexing and gathering row triples were slower; dense convolutions of active tiles of 8×8 positions with
a margin took as long even without gathering and scattering them.
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
"""Neighbourhoods that are gathered before they are multiplied: 1 to 5 MB, which caches hold."""

GATHER_COST = 34
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
    if not gathering_is_faster(number, layout, kernel.shape[1]):
        return convolved_everywhere(rows, layout, kernel).index_select(0, places)
    made = rows.new_empty(number, kernel.shape[1])
    neighbours = (places[:, None] + layout.offsets).flatten()
    buffer = rows.new_empty(min(number, ROWS_PER_BATCH) * 9, inputs)
    for first in range(0, number, ROWS_PER_BATCH):
        last = min(first + ROWS_PER_BATCH, number)
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


def gathering_is_faster(number: int, layout: RowLayout, outputs: int) -> bool:
    """Whether so many neighbourhoods are gathered and multiplied sooner than everything is convolved."""
    return number * (1 + GATHER_COST / outputs) < layout.rows


def kernel_rows(weight: Tensor) -> Tensor:
    """(9 inputs, outputs) of a convolution's weight (outputs, inputs, 3, 3)."""
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
        """F at the places: (M, C).  inner: (R, C), a buffer, zeros on the border.  active: (B, H, W)."""
        bent = layout.without_border(torch.addcmul(self.shift, rows, self.scale).relu_())
        around = dilated(active)
        if gathering_is_faster(int(around.sum()), layout, len(self.bias)):
            near = layout.places(around)
            inner.index_copy_(0, near, convolved(bent, near, layout, self.kernel1).add_(self.bias).relu_())
        else:
            everywhere = convolved_everywhere(bent, layout, self.kernel1).add_(self.bias).relu_()
            inner = layout.without_border(everywhere)
        return convolved(inner, places, layout, self.kernel2)


class FoldedHalt:
    """A halting map in evaluation: a single channel, for which everywhere is sooner than at some places."""

    def __init__(self, halts: HaltingMap) -> None:
        assert halts.near.bias is not None
        self.near = halts.near.weight[0].flatten(1).mT.contiguous()  # (9, C)
        self.far, self.bias = halts.far.weight[0], halts.near.bias

    def logits(self, rows: Tensor, layout: RowLayout) -> Tensor:
        """(B, H, W): first what every row tells each of its neighbours, then the sum of what each is told."""
        told = self.near @ rows.mT
        means = layout.framed(rows).sum((1, 2)) / (layout.height * layout.width)
        return layout.gathered(told) + (means @ self.far + self.bias)[:, None, None]


class Features:
    """Features as rows (R, C) while a block runs, and what positions select of them.

    The weighted mean of the states u_l, Σ p_l u_l, is u_0 + Σ alive_l F_l, with what is alive before a unit
    (Abel's summation). Under rules that choose one state that is the last one: the same rows.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = self.selected = rows

    def add(self, places: Tensor, branch: Tensor, alive: Tensor) -> None:
        """Run a unit.  branch: (M, C).  alive: (M,), in (0, 1]."""
        if self.selected is self.rows and bool((alive < 1).any()):
            self.selected = self.rows.clone()
        self.rows.index_add_(0, places, branch)
        if self.selected is not self.rows:
            self.selected.index_add_(0, places, branch * alive[:, None])


class CompactedBlock:
    """A `AdaptiveBlock` in evaluation mode, folded once.

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
        """As `AdaptiveBlock.forward`, to rounding; but logits where all has halted mean nothing."""
        first = self.block.units[0](features)
        size = first.shape[-2], first.shape[-1]
        layout = RowLayout(len(first), *size)
        made = Features(layout.rows_of(first))
        inner = torch.zeros_like(made.rows)

        def step(_: None, index: int, log_alive: Tensor | None) -> Step[None, None]:
            if log_alive is None:
                active = torch.ones(len(first), *size, dtype=torch.bool)
            else:
                alive = kind.granularity.spread(log_alive, *size)
                active = torch.isfinite(alive)
                places = layout.places(active)
                branch = self.units[index - 1].branch(made.rows, inner, layout, active, places)
                made.add(places, branch, alive[active].exp())
            return Step(self._halt_logits(index, made.rows, layout, active, kind), None, None)

        rule = kind.halting or Thresholded()
        pondering = ponder(step, None, len(self.block.units), rule, generator)
        return BlockOutput(layout.map_of(made.selected), pondering, kind.granularity)

    def _halt_logits(
        self, index: int, rows: Tensor, layout: RowLayout, active: Tensor, kind: BlockKind
    ) -> Tensor:
        """(B, h, w); −∞ where nothing halts, and of no meaning where all has."""
        logits = rows.new_full(active.shape, -torch.inf)
        if kind.halting is None or index == len(self.halts):
            return kind.granularity.share(logits)
        logits = torch.where(active, self.halts[index].logits(rows, layout), logits)
        return self.block.halting_maps[index].clipped(kind.granularity.share(logits))


def dilated(active: Tensor) -> Tensor:
    """The positions and their eight neighbours.  active: (B, H, W) bool."""
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
    """A network in evaluation mode, its parameters as they are now; the answers are the same to rounding.

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
        """As `ResidualNetwork.forward`."""
        features, outputs = self.network.stem(images), []
        for block, kind in zip(self.blocks, self.network.kinds(kinds), strict=True):
            output = block(features, kind, generator)
            features = output.features
            outputs.append(output)
        return NetworkOutput(self.network.answers(features), outputs)
