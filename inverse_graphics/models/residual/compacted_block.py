"""A block evaluated without work at positions that have halted; batch norms become scales and shifts.

The stick is broken by the same loop and the same rules as in training; what differs is the step, which holds
features as rows (`compacted_rows`) and computes the branch where something is alive: the second convolution
there, the first one there and at the neighbours. The first unit runs everywhere, and is dense.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from inverse_graphics.halting import Step, Thresholded, ponder
from inverse_graphics.models.residual.block import BlockThought, ThinkingBlock
from inverse_graphics.models.residual.block_kinds import BlockKind
from inverse_graphics.models.residual.compacted_rows import (
    RowLayout,
    convolved,
    convolved_everywhere,
    gathering_pays,
    kernel_rows,
)
from inverse_graphics.models.residual.halting_map import HaltingMap
from inverse_graphics.models.residual.residual_unit import ResidualUnit


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
        around = grown(active)
        if gathering_pays(int(around.sum()), layout, len(self.bias)):
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
    """A `ThinkingBlock` in evaluation mode, folded once.

    Raises:
        ValueError: the block is in training mode, where batch norms depend on the batch.
    """

    def __init__(self, block: ThinkingBlock) -> None:
        if block.training:
            raise ValueError("a block in training mode cannot be compacted: call eval() first")
        self.block = block
        with torch.no_grad():
            self.units = [FoldedUnit(unit) for unit in block.residual_units[1:]]
            self.halts = [FoldedHalt(halts) for halts in block.halting_maps]

    @torch.no_grad()
    def __call__(
        self, features: Tensor, kind: BlockKind, generator: torch.Generator | None = None
    ) -> BlockThought:
        """As `ThinkingBlock.forward`, to rounding; but logits where all has halted mean nothing."""
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
        return BlockThought(layout.map_of(made.selected), pondering, kind.granularity)

    def _halt_logits(
        self, index: int, rows: Tensor, layout: RowLayout, active: Tensor, kind: BlockKind
    ) -> Tensor:
        """(B, h, w); −∞ where nothing halts, and of no meaning where all has."""
        logits = rows.new_full(active.shape, -torch.inf)
        if kind.halting is None or index == len(self.halts):
            return kind.granularity.share(logits)
        logits = torch.where(active, self.halts[index].logits(rows, layout), logits)
        return self.block.halting_maps[index].clipped(kind.granularity.share(logits))


def grown(active: Tensor) -> Tensor:
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
