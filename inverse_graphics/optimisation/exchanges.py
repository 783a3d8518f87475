"""Changes of what is discrete: each object tried as others, as none, and as objects elsewhere.

Objects are taken one after another, and each becomes the best of what it is tried as, all else as it is:
coordinate ascent. Gradients then move what came of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from inverse_graphics.families.quantities import uniform
from inverse_graphics.geometry.rotation import random_rotations
from inverse_graphics.models.air3d.stage import Stage
from inverse_graphics.models.air3d.staged import StagedScenes, nearest_first

Score = Callable[[StagedScenes, Tensor], Tensor]
"""How good scenes (S) are for the images of given numbers (S,): (S,), nats."""


@torch.no_grad()
def exchanged(
    scenes: StagedScenes,
    stage: Stage,
    score: Score,
    turns: int,
    elsewhere: int,
    generator: torch.Generator,
) -> StagedScenes:
    """Scenes no worse by `score`, whose objects are others.

    turns, elsewhere: how many other turns of each object, and fresh objects for each slot, are tried.
    Objects come nearest first, empty slots last.
    """
    for slot in range(scenes.asset.shape[1]):
        trials = [scenes, *_other_kinds(scenes, stage, slot), _without(scenes, stage, slot)]
        trials += [_turned(scenes, stage, slot, generator) for _ in range(turns)]
        trials += [_fresh(scenes, stage, slot, generator) for _ in range(elsewhere)]
        scenes = _best(trials, score)
    return nearest_first(scenes, stage)


def _best(trials: list[StagedScenes], score: Score) -> StagedScenes:
    count = len(trials[0].asset)
    flat = StagedScenes(*(torch.cat(parts) for parts in zip(*trials, strict=True)))
    value = score(flat, torch.arange(count).repeat(len(trials))).reshape(len(trials), count)
    chosen = value.argmax(dim=0) * count + torch.arange(count)  # the first of equal ones: what it was
    return StagedScenes(*(part[chosen] for part in flat))


def _other_kinds(scenes: StagedScenes, stage: Stage, slot: int) -> list[StagedScenes]:
    there = scenes.asset[:, slot] >= 0
    kinds = [torch.where(there, kind, -1) for kind in range(len(stage.turns))]
    return [_with(scenes, slot, asset=kind) for kind in kinds]


def _without(scenes: StagedScenes, stage: Stage, slot: int) -> StagedScenes:
    """Without one object, where there may be fewer."""
    fewer = scenes.counts > stage.smallest_count
    return _with(scenes, slot, asset=torch.where(fewer, -1, scenes.asset[:, slot]))


def _fresh(scenes: StagedScenes, stage: Stage, slot: int, generator: torch.Generator) -> StagedScenes:
    """Another object in a slot, of any kind, anywhere on the stage."""
    count = len(scenes.asset)
    asset = torch.randint(len(stage.turns), (count,), generator=generator)
    position = uniform(-stage.reach, stage.reach, (count, 2), generator)
    turn = _random_turns(count, stage, generator)
    return _with(scenes, slot, asset=asset, position=position, turn=turn)


def _turned(scenes: StagedScenes, stage: Stage, slot: int, generator: torch.Generator) -> StagedScenes:
    return _with(scenes, slot, turn=_random_turns(len(scenes.asset), stage, generator))


def _random_turns(count: int, stage: Stage, generator: torch.Generator) -> Tensor:
    """(count,) yaws, or (count, 3, 3) rotations where objects float."""
    if stage.floating:
        return random_rotations((count,), generator)
    return 2 * math.pi * torch.rand(count, generator=generator)


def _with(scenes: StagedScenes, slot: int, **parts: Tensor) -> StagedScenes:
    def put(name: str, value: Tensor) -> Tensor:
        whole = getattr(scenes, name).clone()
        whole[:, slot] = value
        return whole

    return scenes._replace(**{name: put(name, value) for name, value in parts.items()})
