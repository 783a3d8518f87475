"""A block of residual units that stops, place by place, when enough of them have run.

The stick is that of `halting`: one for each latent, broken after each unit but the last. Positions whose
latent has halted copy their features, so their neighbours see what they had come to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from inverse_graphics.halting import (
    Pondering,
    Step,
    Thresholded,
    log_weights,
    ponder,
    select,
    steps_taken,
)
from inverse_graphics.models.residual.block_kinds import BlockKind
from inverse_graphics.models.residual.granularity import Granularity
from inverse_graphics.models.residual.halting_map import HaltingMap
from inverse_graphics.models.residual.residual_unit import ResidualUnit


class BlockThought(NamedTuple):
    """What a block made of a batch, and how long it took where.

    features: (B, C, H, W).  pondering: of latents (B, h, w), as the granularity shares them.
    """

    features: Tensor
    pondering: Pondering[Any]
    granularity: Granularity

    @property
    def steps(self) -> Tensor:
        """Units that ran at each position: (B, H, W), float, from 1."""
        return self.granularity.spread(steps_taken(self.pondering), *self.features.shape[-2:])

    def active(self, unit: int) -> Tensor:
        """Where unit number `unit`, from 0, ran: (B, H, W) bool."""
        return self.steps > unit


class ThinkingBlock(nn.Module):
    """`units` residual units, the first of which may widen and halve the map, and a halting map after each.

    The last unit has none: what has come so far halts.
    """

    def __init__(
        self, inputs: int, outputs: int, units: int, stride: int, halting_bias: float, delta: float
    ) -> None:
        super().__init__()
        first = ResidualUnit(inputs, outputs, stride)
        self.units = nn.ModuleList([first, *(ResidualUnit(outputs, outputs) for _ in range(units - 1))])
        self.halts = nn.ModuleList([HaltingMap(outputs, halting_bias, delta) for _ in range(units - 1)])

    @property
    def halting_maps(self) -> list[HaltingMap]:
        """After each unit but the last."""
        return [halts for halts in self.halts if isinstance(halts, HaltingMap)]

    @property
    def residual_units(self) -> list[ResidualUnit]:
        """In the order in which they run."""
        return [unit for unit in self.units if isinstance(unit, ResidualUnit)]

    def forward(
        self, features: Tensor, kind: BlockKind, generator: torch.Generator | None = None
    ) -> BlockThought:
        """Run the units on (B, inputs, H, W); all work is done, and masked where all has halted."""

        def step(state: Tensor, index: int, log_alive: Tensor | None) -> Step[Tensor, Tensor]:
            after = self.units[index](state, self._active(state, log_alive, kind.granularity))
            return Step(self._halt_logits(index, after, kind), after, after)

        rule = kind.halting or Thresholded()
        pondering = ponder(step, features, len(self.units), rule, generator)
        return BlockThought(_selected(pondering, kind), pondering, kind.granularity)

    @staticmethod
    def _active(state: Tensor, log_alive: Tensor | None, granularity: Granularity) -> Tensor | None:
        if log_alive is None:
            return None
        return granularity.spread(torch.isfinite(log_alive), *state.shape[-2:])

    def _halt_logits(self, index: int, features: Tensor, kind: BlockKind) -> Tensor:
        """(B, h, w); −∞ where nothing halts."""
        if kind.halting is None or index == len(self.halts):
            positions = features.new_full((len(features), *features.shape[-2:]), -torch.inf)
            return kind.granularity.share(positions)
        halts = self.halting_maps[index]
        return halts.clipped(kind.granularity.share(halts(features)))


def _selected(pondering: Pondering[Tensor], kind: BlockKind) -> Tensor:
    """The features that each position halted with: (B, C, H, W)."""
    if kind.halting is None or len(pondering.outputs) == 1:
        return pondering.outputs[-1]
    weights = log_weights(pondering)
    height, width = pondering.outputs[0].shape[-2:]
    return select(kind.granularity.spread(weights, height, width)[:, :, None], pondering.outputs)
