"""A block evaluated without work at positions that have halted; batch norms are folded into what is beside them.

The stick is broken by the same loop and the same rules as in training; what differs is the step, which holds
features as rows (`compacted_rows`) and computes the branch where something is alive: the second convolution
there, the first one there and at the neighbours. The first unit runs everywhere, and is dense.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from inverse_graphics.halting import Pondering, Step, Thresholded, log_weights, ponder
from inverse_graphics.models.residual.block import BlockThought, ThinkingBlock
from inverse_graphics.models.residual.block_kinds import BlockKind
from inverse_graphics.models.residual.compacted_rows import RowLayout, convolved, kernel_rows
from inverse_graphics.models.residual.halting_map import HaltingMap
from inverse_graphics.models.residual.residual_unit import ResidualUnit


class FoldedUnit:
    """A residual unit in evaluation: u ↦ F(u) as scale, shift, ReLU, matrix, shift, ReLU, matrix."""

    def __init__(self, unit: ResidualUnit) -> None:
        self.scale, self.shift = _scale_and_shift(unit.norm1)
        after, self.bias = _scale_and_shift(unit.norm2)
        self.kernel1 = kernel_rows(unit.conv1.weight) * after
        self.kernel2 = kernel_rows(unit.conv2.weight)

    def branch(self, rows: Tensor, inner: Tensor, layout: RowLayout, active: Tensor, places: Tensor) -> Tensor:
        """F at the places: (M, C).  inner: (R, C), a buffer, zeros on the border.  active: (B, H, W)."""
        bent = layout.without_border(torch.addcmul(self.shift, rows, self.scale).relu_())
        around = layout.places(grown(active))
        inner[around] = convolved(bent, around, layout, self.kernel1).add_(self.bias).relu_()
        return convolved(inner, places, layout, self.kernel2)


class FoldedHalt:
    """A halting map in evaluation, at some places."""

    def __init__(self, halts: HaltingMap) -> None:
        assert halts.near.bias is not None
        self.near = halts.near.weight[0].flatten(1).contiguous()  # (C, 9)
        self.far, self.bias = halts.far.weight[0], halts.near.bias

    def logits(self, rows: Tensor, layout: RowLayout, places: Tensor) -> Tensor:
        """(M,): first what every row tells each of its neighbours, then the sum over a place's own."""
        told = (rows @ self.near).flatten()
        neighbours = (places[:, None] + layout.offsets) * 9 + torch.arange(9)
        means = layout.framed(rows).sum((1, 2)) / (layout.height * layout.width)
        image = places // ((layout.height + 2) * (layout.width + 2))
        return told[neighbours].sum(1) + (means @ self.far)[image] + self.bias


class Ran(NamedTuple):
    """What a unit left where it ran.  places: (M,).  values: (M, C)."""

    places: Tensor
    values: Tensor


class CompactedBlock:
    """A `ThinkingBlock` in evaluation mode, folded once.

    Raises:
        ValueError: the block is in training mode, where batch norms depend on the batch.
    """

    def __init__(self, block: ThinkingBlock) -> None:
        if block.training:
            raise ValueError("a block in training mode cannot be compacted: call eval() first")
        self.block = block
        with torch.no_grad():
            self.units = [FoldedUnit(unit) for unit in block.units[1:]]  # type: ignore[arg-type]
            self.halts = [FoldedHalt(halts) for halts in block.halts]  # type: ignore[arg-type]

    @torch.no_grad()
    def __call__(
        self, features: Tensor, kind: BlockKind, generator: torch.Generator | None = None
    ) -> BlockThought:
        """As `ThinkingBlock.forward`, to rounding."""
        first = self.block.units[0](features)
        size = first.shape[-2], first.shape[-1]
        layout = RowLayout(len(first), *size)
        rows = layout.rows_of(first)
        inner = torch.zeros_like(rows)
        share, spread = kind.granularity.share, kind.granularity.spread
        last = len(self.halts)

        def step(_: None, index: int, log_alive: Tensor | None) -> Step[None, Ran]:
            active = (
                torch.ones(len(first), *size, dtype=torch.bool)
                if log_alive is None
                else spread(torch.isfinite(log_alive), *size)
            )
            places = layout.places(active)
            if index:
                rows[places] += self.units[index - 1].branch(rows, inner, layout, active, places)
            logits = rows.new_full((len(first), *size), -torch.inf)
            if kind.halting is not None and index < last:
                logits[active] = self.halts[index].logits(rows, layout, places)
            shared = share(logits)
            if kind.halting is not None and index < last:
                shared = self.block.halts[index].clipped(shared)  # type: ignore[operator]
            return Step(shared, Ran(places, rows[places]), None)

        rule = kind.halting or Thresholded()
        pondering = ponder(step, None, len(self.block.units), rule, generator)
        made = rows if kind.halting is None else _selected(pondering, kind, layout, rows)
        return BlockThought(layout.map_of(made), pondering, kind.granularity)


def grown(active: Tensor) -> Tensor:
    """The positions and their eight neighbours.  active: (B, H, W) bool."""
    return max_pool2d(active[:, None].float(), 3, 1, 1)[:, 0] > 0


def _scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _selected(pondering: Pondering[Ran], kind: BlockKind, layout: RowLayout, rows: Tensor) -> Tensor:
    """The weighted mean of what the units left: (R, C); a place weighs nothing once it has halted."""
    weights = kind.granularity.spread(log_weights(pondering).exp(), layout.height, layout.width)
    made = torch.zeros_like(rows)
    for weight, ran in zip(weights, pondering.outputs, strict=True):
        at_places = layout.rows_of(weight[:, None])[ran.places]
        made[ran.places] += at_places * ran.values
    return made
