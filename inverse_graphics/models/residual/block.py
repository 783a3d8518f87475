"""A block of residual units with a halting process for each image, patch or position.

There is one stick-breaking process (`halting`) for each latent, split after each unit but the last. Positions
whose latent has halted copy their features, so that their neighbours still read them.

A kind of block is a halting rule and a granularity:

| kind | halts by | granularity | source |
|---|---|---|---|
| plain | nothing: all units run | | He et al. 2016 |
| act | accumulated probabilities | whole image | Graves 2016; Figurnov et al. 2017, section 3.1 |
| sact | accumulated probabilities | position or patch | Figurnov et al. 2017, section 3.2 |
| pact | a sampled number of units | whole image | Figurnov et al. 2018 |
| psact | a sampled number of units | position or patch | Figurnov et al. 2018 |

The halting probability is H(u) = σ(W̃ ∗ u + W pool(u) + b): a 3×3 convolution of the neighbourhood and a
linear map of the mean over the map (Figurnov et al. 2017, "Spatially Adaptive Computation Time for Residual
Networks"). It is clamped to [δ, 1 − δ], so that noise can change the outcome of every logit.

Residual units are pre-activation units (He et al. 2016, "Identity Mappings in Deep Residual Networks"),
masked where nothing is alive; the first unit, which may halve the map, is not masked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

from inverse_graphics.halting import Pondering, Step, log_weights, ponder, select, steps_taken
from inverse_graphics.halting.rules import Accumulated, Halting, Thresholded


class HaltingMap(nn.Module):
    """Predicts halting logits from a feature map.

    Args:
        channels: C.
        bias: initial b; W̃ and W are zero initially.
        delta: δ.
    """

    def __init__(self, channels: int, bias: float, delta: float) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, 1, 3, 1, 1)
        self.far = nn.Linear(channels, 1, bias=False)
        self.limit = math.log1p(-delta) - math.log(delta)
        nn.init.zeros_(self.near.weight)
        nn.init.zeros_(self.far.weight)
        assert self.near.bias is not None
        nn.init.constant_(self.near.bias, bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits before clamping: (B, H, W).

        Args:
            features: (B, C, H, W).
        """
        everywhere = self.far(features.mean((2, 3)))
        return self.near(features)[:, 0] + everywhere[:, :, None]

    def clipped(self, logits: Tensor) -> Tensor:
        """Clamp logits to probabilities in [δ, 1 − δ]."""
        return torch.clamp(logits, -self.limit, self.limit)


@dataclass(frozen=True)
class Granularity:
    """The positions that share a latent.

    Attributes:
        patch: side of the squares of positions that share one; None for the whole map. A patch larger than
            the map is the map. Source: Figurnov et al. 2018.
    """

    patch: int | None = 1

    def share(self, logits: Tensor) -> Tensor:
        """The mean logit of each patch: (B, h, w).

        Args:
            logits: (B, H, W).
        """
        rows, columns = self._sides(logits.shape[-2], logits.shape[-1])
        return logits if rows == columns == 1 else avg_pool2d(logits[:, None], (rows, columns))[:, 0]

    def spread(self, latents: Tensor, height: int, width: int) -> Tensor:
        """Repeat the value of each patch at its positions: (..., H, W).

        Args:
            latents: (..., h, w).
        """
        rows, columns = self._sides(height, width)
        if rows == columns == 1:
            return latents
        *lead, h, w = latents.shape
        tiled = latents[..., :, None, :, None].expand(*lead, h, rows, w, columns)
        return tiled.reshape(*lead, height, width)

    def latents(self, height: int, width: int) -> int:
        """The number of latents of a map."""
        rows, columns = self._sides(height, width)
        return (height // rows) * (width // columns)

    def fits(self, height: int, width: int) -> bool:
        """Whether patches tile a map."""
        rows, columns = self._sides(height, width)
        return height % rows == 0 and width % columns == 0

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        return (
            height if self.patch is None else min(self.patch, height),
            width if self.patch is None else min(self.patch, width),
        )


class ResidualUnit(nn.Module):
    """u + F(u), F: norm, ReLU, 3×3 convolution, norm, ReLU, 3×3 convolution.

    The skip connection has no weights: it is averaged over the stride and padded with channels of zeros on
    both sides.


    Args:
        inputs: channels of u.
        outputs: channels of the result, at least `inputs`.
        stride: 2 halves the map.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.more = stride, outputs - inputs
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        for convolution in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor, active: Tensor | None = None) -> Tensor:
        """Run the unit: (B, outputs, H, W).

        Args:
            features: (B, inputs, H, W).
            active: (B, H, W) bool; elsewhere the features are copied; None for everywhere.
        """
        inner = self.conv1(relu(self.norm1(features)))
        branch = self.conv2(relu(self.norm2(inner)))
        if active is not None:
            branch = branch * active[:, None]
        return self._skip(features) + branch

    def _skip(self, features: Tensor) -> Tensor:
        if self.stride > 1:
            features = avg_pool2d(features, self.stride)
        before = self.more // 2
        return pad(features, (0, 0, 0, 0, before, self.more - before)) if self.more else features


KindName = Literal["plain", "act", "sact", "pact", "psact"]


class BlockKind(NamedTuple):
    """The mode in which a block is run: rule and granularity.

    Attributes:
        halting: the rule; None if all units run.
        granularity: of the latents.
    """

    halting: Halting | None
    granularity: Granularity

    def by(self, halting: Halting) -> BlockKind:
        """The same granularity with another rule; a plain block stays plain."""
        return self if self.halting is None else self._replace(halting=halting)


def block_kind(name: KindName, patch: int = 1) -> BlockKind:
    """Look up a kind, with its evaluation rule.

    Args:
        name: of the kind.
        patch: side, for sact and psact.
    """
    whole, patches = Granularity(None), Granularity(patch)
    kinds: dict[KindName, BlockKind] = {
        "plain": BlockKind(None, whole),
        "act": BlockKind(Accumulated(), whole),
        "sact": BlockKind(Accumulated(), patches),
        "pact": BlockKind(Thresholded(), whole),
        "psact": BlockKind(Thresholded(), patches),
    }
    return kinds[name]


class BlockOutput(NamedTuple):
    """The output of a block, and its halting process.

    Attributes:
        features: (B, C, H, W).
        pondering: of latents (B, h, w).
        granularity: of the latents.
    """

    features: Tensor
    pondering: Pondering[Any]
    granularity: Granularity

    @property
    def steps(self) -> Tensor:
        """The number of units that ran at each position: (B, H, W), float, from 1."""
        return self.granularity.spread(steps_taken(self.pondering), *self.features.shape[-2:])

    def active(self, unit: int) -> Tensor:
        """Mask of the positions at which unit number `unit`, from 0, ran: (B, H, W) bool."""
        return self.steps > unit


class AdaptiveBlock(nn.Module):
    """Residual units, each but the last with a halting map; the first may widen and halve the feature map.

    Args:
        inputs: channels.
        outputs: channels.
        units: their number.
        stride: of the first unit.
        halting_bias: see `HaltingMap`.
        delta: see `HaltingMap`.
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
        """The halting maps, after each unit but the last."""
        return [halts for halts in self.halts if isinstance(halts, HaltingMap)]

    @property
    def residual_units(self) -> list[ResidualUnit]:
        """The units, in order."""
        return [unit for unit in self.units if isinstance(unit, ResidualUnit)]

    def forward(
        self, features: Tensor, kind: BlockKind, generator: torch.Generator | None = None
    ) -> BlockOutput:
        """Run the units at all positions, and mask those that have halted.

        Args:
            features: (B, inputs, H, W).
            kind: rule and granularity.
            generator: for rules that sample.
        """

        def step(state: Tensor, index: int, log_alive: Tensor | None) -> Step[Tensor, Tensor]:
            after = self.units[index](state, self._active(state, log_alive, kind.granularity))
            return Step(self._halt_logits(index, after, kind), after, after)

        rule = kind.halting or Thresholded()
        pondering = ponder(step, features, len(self.units), rule, generator)
        return BlockOutput(_selected(pondering, kind), pondering, kind.granularity)

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
    """The features with which each position halted: (B, C, H, W)."""
    if kind.halting is None or len(pondering.outputs) == 1:
        return pondering.outputs[-1]
    weights = log_weights(pondering)
    height, width = pondering.outputs[0].shape[-2:]
    return select(kind.granularity.spread(weights, height, width)[:, :, None], pondering.outputs)
