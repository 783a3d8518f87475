"""Speed-up of residual networks that skip halted positions, by the share of active positions.

Weights are random, and the halting positions are prescribed: after the first unit of each block a share of
its map, in blobs or scattered, stays active to the end, and the rest halts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from inverse_graphics.halting.rules import Split, split_where
from inverse_graphics.models.residual.block import BlockKind, block_kind
from inverse_graphics.models.residual.compaction import CompactedNetwork
from inverse_graphics.models.residual.evaluation import active_share, multiply_adds
from inverse_graphics.models.residual.network import ResidualNetwork, ResidualSettings

Pattern = Literal["blobs", "scattered"]
REPEATS = 15
CHANNELS = 3


@dataclass(frozen=True)
class CompactionRow:
    """A share of positions that stay alive after each block's first unit.

    Attributes:
        active_share: of positions of all units.
        multiply_adds: as a share of those of all units everywhere.
        masked_ms: of a batch, the fastest of several alternating runs; plain: all units everywhere, without
            halting maps.
        compacted_ms: of a batch, the fastest of several alternating runs; plain: all units everywhere,
            without halting maps.
        plain_ms: of a batch, the fastest of several alternating runs; plain: all units everywhere, without
            halting maps.
        speedup: masked over compacted.
        processor_speedup: likewise of the thread's processor time, which other programs on the machine
            disturb less.
        deviation: largest, of logits.
    """

    pattern: str
    stays_alive: float
    active_share: float
    multiply_adds: float
    plain_ms: float
    masked_ms: float
    compacted_ms: float
    speedup: float
    processor_speedup: float
    deviation: float


class LaidDown:
    """Halts where it is told to, whatever the logits.

    Args:
        share: of each map that stays alive.
    """

    def __init__(self, share: float, pattern: Pattern, seed: int) -> None:
        self.share, self.pattern, self.seed = share, pattern, seed
        self._halts: dict[torch.Size, Tensor] = {}

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """The same positions of a map, each time."""
        del generator
        shape = halt_logit.shape
        if shape not in self._halts:
            self._halts[shape] = self._drawn(shape)
        return split_where(self._halts[shape], log_alive)

    def _drawn(self, shape: torch.Size) -> Tensor:
        field = torch.randn(shape, generator=torch.Generator().manual_seed(self.seed))
        if self.pattern == "blobs":
            radius = shape[-1] // 8
            for _ in range(2):
                field = avg_pool2d(field[:, None], 2 * radius + 1, 1, radius)[:, 0]
        return field < field.flatten(1).quantile(1 - self.share, dim=1)[:, None, None]


@torch.no_grad()
def benchmark_compaction(
    units: int, batch: int, shares: Sequence[float], patterns: Sequence[Pattern], seed: int
) -> Iterator[CompactionRow]:
    """Rows for a network of 16, 32 and 64 channels on 32×32 pixels, with so many units in each block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResidualNetwork(ResidualSettings(units=units, channels=CHANNELS)).eval()
        images = torch.rand(batch, CHANNELS, 32, 32)
    compacted, plain = CompactedNetwork(network), block_kind("plain")
    everything = float(multiply_adds(network, network(images, plain)).mean())
    for pattern in patterns:
        for share in shares:
            kind: BlockKind = block_kind("psact").by(LaidDown(share, pattern, seed))
            masked = network(images, kind)
            skipped = compacted(images, kind)
            (plain_ms, _), masked_time, compacted_time = fastest(
                lambda: network(images, plain),
                lambda kind=kind: network(images, kind),  # type: ignore[misc]
                lambda kind=kind: compacted(images, kind),  # type: ignore[misc]
            )
            yield CompactionRow(
                pattern,
                share,
                float(active_share(masked).mean()),
                float(multiply_adds(network, masked).mean()) / everything,
                plain_ms,
                masked_time.wall_ms,
                compacted_time.wall_ms,
                masked_time.wall_ms / compacted_time.wall_ms,
                masked_time.processor_ms / compacted_time.processor_ms,
                float((masked.logits - skipped.logits).abs().max()),
            )


class Timing(NamedTuple):
    """Of the fastest run by each clock."""

    wall_ms: float
    processor_ms: float


def fastest(*calls: Callable[[], object]) -> list[Timing]:
    """Of `REPEATS` runs of each, taking turns after a warm-up."""
    taken: list[list[Timing]] = [[] for _ in calls]
    for _ in range(REPEATS + 1):
        for runs, call in zip(taken, calls, strict=True):
            wall, processor = time.perf_counter(), time.thread_time()
            call()
            runs.append(Timing(1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - processor)))
    return [Timing(*(min(clock) for clock in zip(*runs[1:], strict=True))) for runs in taken]
