"""Speed-up of residual networks that skip halted positions, by the share of active positions.

Weights are random and the halting positions prescribed: after the first unit of each block, a share of the
positions of its map, in blobs or scattered, stays active to the end, and the others halt.
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
    """Timings for one pattern and share of active positions; times are the fastest of several runs.

    Attributes:
        pattern: arrangement of the active positions, "blobs" or "scattered".
        stays_alive: share of positions that stay active after each block's first unit.
        active_share: share of the positions of all units that are computed.
        multiply_adds: multiply-adds, as a share of those of the plain network.
        plain_ms: time per batch of the network that runs all units everywhere, without halting maps.
        masked_ms: time per batch of the network that computes all positions and masks the halted ones.
        compacted_ms: time per batch of the network that skips halted positions.
        speedup: `masked_ms` / `compacted_ms`.
        processor_speedup: the same ratio of the thread's processor times, which depend less on other load.
        deviation: largest absolute difference between the logits of both networks.
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


class PrescribedHalting:
    """A halting rule with fixed random positions, which ignores the logits.

    Args:
        share: share of each map's positions that stay active.
        pattern: arrangement of the active positions.
        seed: seed of the positions.
    """

    def __init__(self, share: float, pattern: Pattern, seed: int) -> None:
        self.share, self.pattern, self.seed = share, pattern, seed
        self._halts: dict[torch.Size, Tensor] = {}

    def split(self, halt_logit: Tensor, log_alive: Tensor, generator: torch.Generator | None = None) -> Split:
        """Halt the positions that belong to the map's size; the same at every call."""
        del generator
        shape = halt_logit.shape
        if shape not in self._halts:
            self._halts[shape] = self._sample_positions(shape)
        return split_where(self._halts[shape], log_alive)

    def _sample_positions(self, shape: torch.Size) -> Tensor:
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
    """Time a network of 16, 32 and 64 channels on images of 32×32 pixels.

    Args:
        units: units per block.
        batch: batch size.
        shares: shares of active positions.
        patterns: arrangements of active positions.
        seed: seed of weights, images and positions.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResidualNetwork(ResidualSettings(units=units, channels=CHANNELS)).eval()
        images = torch.rand(batch, CHANNELS, 32, 32)
    compacted, plain = CompactedNetwork(network), block_kind("plain")
    everything = float(multiply_adds(network, network(images, plain)).mean())
    for pattern in patterns:
        for share in shares:
            kind: BlockKind = block_kind("psact").by(PrescribedHalting(share, pattern, seed))
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
    """The smallest wall time and the smallest processor time of several runs, milliseconds."""

    wall_ms: float
    processor_ms: float


def fastest(*calls: Callable[[], object]) -> list[Timing]:
    """Time `REPEATS` alternating runs of each function, after a warm-up run of each."""
    taken: list[list[Timing]] = [[] for _ in calls]
    for _ in range(REPEATS + 1):
        for runs, call in zip(taken, calls, strict=True):
            wall, processor = time.perf_counter(), time.thread_time()
            call()
            runs.append(Timing(1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - processor)))
    return [Timing(*(min(clock) for clock in zip(*runs[1:], strict=True))) for runs in taken]
