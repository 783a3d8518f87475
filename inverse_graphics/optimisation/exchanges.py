"""Changes of what is discrete: each object tried as others, as none, and as objects elsewhere.

Objects are taken one after another, and each becomes the best of what it is tried as, all else as it is:
coordinate ascent. Gradients then move what came of it.

Where searches begin: at scenes of the family, of several the one that explains the image best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.families.quantities import uniform
from inverse_graphics.geometry.transforms import random_rotations
from inverse_graphics.models.air3d.scene_latents import StagedScenes, nearest_first
from inverse_graphics.models.air3d.scene_space import Stage

Score = Callable[[StagedScenes, Tensor], Tensor]
"""How good scenes (S) are for the images of given numbers (S,): (S,), nats."""
Unexplained = Callable[[StagedScenes], Tensor]
"""How wrong each pixel of pictures of scenes is: (B, H, W), not negative."""


class Judgement(NamedTuple):
    """What is asked of scenes when objects are exchanged; see `Score` and `Unexplained`."""

    score: Score
    unexplained: Unexplained


@torch.no_grad()
def exchanged(
    scenes: StagedScenes,
    stage: Stage,
    judgement: Judgement,
    turns: int,
    elsewhere: int,
    generator: torch.Generator,
) -> StagedScenes:
    """Scenes no worse by their score, whose objects are others.

    turns, elsewhere: how many other turns of each object, and fresh objects for each slot, are tried.
    Objects come nearest first, empty slots last.
    """
    for slot in range(scenes.asset.shape[1]):
        trials = [scenes, *_other_kinds(scenes, stage, slot), _without(scenes, stage, slot)]
        trials += [_turned(scenes, stage, slot, generator) for _ in range(turns)]
        trials += [
            _with_fresh(scenes, stage, slot, place, generator)
            for place in _places(scenes, stage, slot, judgement.unexplained, elsewhere, generator)
        ]
        scenes = _best(trials, judgement.score)
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


def _with_fresh(
    scenes: StagedScenes, stage: Stage, slot: int, place: Tensor, generator: torch.Generator
) -> StagedScenes:
    """Another object in a slot, of any kind.  place: (B, 2), metres."""
    count = len(scenes.asset)
    asset = torch.randint(len(stage.turns), (count,), generator=generator)
    turn = _random_turns(count, stage, generator)
    return _with(scenes, slot, asset=asset, position=place, turn=turn)


def _places(
    scenes: StagedScenes,
    stage: Stage,
    slot: int,
    unexplained: Unexplained,
    count: int,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Where objects are tried, each (B, 2): by turns where the picture without this one errs, and anywhere.

    A pixel is drawn as often as it errs, and is taken for the middle of an object on the stage's plane.
    """
    if count == 0:
        return
    error = unexplained(_with(scenes, slot, asset=torch.full_like(scenes.asset[:, slot], -1)))
    drawn = torch.multinomial(error.flatten(1) + 1e-9, count, replacement=True, generator=generator)
    cameras = stage.cameras(scenes.orbit)
    for index, pixels in enumerate(drawn.unbind(1)):
        if index % 2:
            yield uniform(-stage.reach, stage.reach, (len(pixels), 2), generator)
            continue
        pixel = torch.stack([pixels % error.shape[-1], pixels // error.shape[-1]], dim=-1) + 0.5
        yield stage.plane_from_pixel(pixel, cameras).clamp(-stage.reach, stage.reach)


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
