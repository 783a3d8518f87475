"""Where searches begin: at scenes of the family, of several the one that explains the image best."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.models.air3d.stage import Stage
from inverse_graphics.models.air3d.staged import StagedScenes
from inverse_graphics.optimisation.exchanges import Score


@torch.no_grad()
def draw_starts(
    searches: int, stage: Stage, score: Score, candidates: int, generator: torch.Generator
) -> StagedScenes:
    """Draw one scene for each of so many searches, the best of `candidates` by `score`."""
    best, value = _drawn(searches, stage, generator), torch.full((searches,), -torch.inf)
    number = torch.arange(searches)
    for index in range(candidates):
        scenes = best if index == 0 else _drawn(searches, stage, generator)
        worth = score(scenes, number)
        better = worth > value
        best = merged(better, scenes, best)
        value = torch.where(better, worth, value)
    return best


def merged(chosen: Tensor, scenes: StagedScenes, others: StagedScenes) -> StagedScenes:
    """Of each pair the first where `chosen` (B,), else the second."""

    def pick(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(chosen.reshape(-1, *[1] * (one.dim() - 1)), one, other)

    return StagedScenes(*(pick(*pair) for pair in zip(scenes, others, strict=True)))


def _drawn(count: int, stage: Stage, generator: torch.Generator) -> StagedScenes:
    return StagedScenes.of(stage.family.sample(count, generator), stage)
