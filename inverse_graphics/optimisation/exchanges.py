"""Discrete moves of the scene search: another kind, no object, another orientation, an object elsewhere.

This is coordinate ascent: slot by slot, all alternatives are scored with the other slots fixed, and the best
one is kept. Gradient ascent then refines the result.

Also the initial scenes of searches from the prior: the best of several samples (`draw_starts`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.draws import draw_categories, draw_integers, draw_uniform
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.families.quantities import uniform
from inverse_graphics.geometry.transforms import random_rotations
from inverse_graphics.models.air3d.scene_latents import nearest_first
from inverse_graphics.models.air3d.scene_space import SceneSpace

Score = Callable[[SceneLatents, Tensor], Tensor]
"""Scores S scenes, each with the image whose index is given, (S,): (S,), nats."""
Unexplained = Callable[[SceneLatents], Tensor]
"""The error of each pixel of rendered scenes: (B, H, W), at least 0."""


class Criteria(NamedTuple):
    """How exchanges are scored, and where new objects are proposed; see `Score` and `Unexplained`."""

    score: Score
    unexplained: Unexplained


@torch.no_grad()
def exchanged(
    scenes: SceneLatents,
    space: SceneSpace,
    criteria: Criteria,
    orientations: int,
    elsewhere: int,
    generator: torch.Generator,
) -> SceneLatents:
    """Exchange objects where that increases the score.

    Args:
        scenes: B scenes.
        space: their latents.
        criteria: scores scenes, and locates errors.
        orientations: number of random orientations to score for each object.
        elsewhere: number of new objects to score for each slot.
        generator: source of randomness.

    Returns:
        B scenes whose scores are at least those of `scenes`, objects nearest first, empty slots last.
    """
    for slot in range(scenes.asset.shape[1]):
        trials = [scenes, *_other_kinds(scenes, space, slot), _without(scenes, space, slot)]
        trials += [_rotated(scenes, space, slot, generator) for _ in range(orientations)]
        trials += [
            _with_fresh(scenes, space, slot, place, generator)
            for place in _places(scenes, space, slot, criteria.unexplained, elsewhere, generator)
        ]
        scenes = _best(trials, criteria.score)
    return nearest_first(scenes, space)


def _best(trials: list[SceneLatents], score: Score) -> SceneLatents:
    count = len(trials[0].asset)
    flat = SceneLatents.cat(trials)
    number = torch.arange(count, device=flat.asset.device)
    value = score(flat, number.repeat(len(trials))).reshape(len(trials), count)
    first = value.argmax(dim=0)  # the first of equal ones, so that ties change nothing
    return flat.reshape(len(trials), count)[first, number]


def _other_kinds(scenes: SceneLatents, space: SceneSpace, slot: int) -> list[SceneLatents]:
    there = scenes.asset[:, slot] >= 0
    kinds = [torch.where(there, kind, -1) for kind in range(len(space.orientation_observable))]
    return [_with(scenes, slot, asset=kind) for kind in kinds]


def _without(scenes: SceneLatents, space: SceneSpace, slot: int) -> SceneLatents:
    """Remove one object, unless the count is already the smallest."""
    fewer = scenes.counts > space.smallest_count
    return _with(scenes, slot, asset=torch.where(fewer, -1, scenes.asset[:, slot]))


def _with_fresh(
    scenes: SceneLatents, space: SceneSpace, slot: int, place: Tensor, generator: torch.Generator
) -> SceneLatents:
    """Put a new object of random kind and orientation into a slot.

    Args:
        place: (B, 2), its position, metres.
    """
    count = len(scenes.asset)
    asset = draw_integers(len(space.orientation_observable), (count,), generator, place)
    orientation = _random_orientations(count, space, generator)
    return _with(scenes, slot, asset=asset, position=place, orientation=orientation)


def _places(
    scenes: SceneLatents,
    space: SceneSpace,
    slot: int,
    unexplained: Unexplained,
    count: int,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Positions to try, (B, 2) each, metres: alternately where the image is wrong, and uniform.

    A pixel is sampled in proportion to its error, without the object in `slot`, and back-projected to the
    plane of the objects' origins.
    """
    if count == 0:
        return
    error = unexplained(_with(scenes, slot, asset=torch.full_like(scenes.asset[:, slot], -1)))
    drawn = draw_categories(error.flatten(1) + 1e-9, count, generator)
    cameras = space.cameras(scenes.orbit, scenes.K)
    for index, pixels in enumerate(drawn.unbind(1)):
        if index % 2:
            yield uniform(-space.reach, space.reach, (len(pixels), 2), generator)
            continue
        pixel = torch.stack([pixels % error.shape[-1], pixels // error.shape[-1]], dim=-1) + 0.5
        yield space.plane_from_pixel(pixel, cameras).clamp(-space.reach, space.reach)


def _rotated(scenes: SceneLatents, space: SceneSpace, slot: int, generator: torch.Generator) -> SceneLatents:
    return _with(scenes, slot, orientation=_random_orientations(len(scenes.asset), space, generator))


def _random_orientations(count: int, space: SceneSpace, generator: torch.Generator) -> Tensor:
    """(count,) yaws, or (count, 3, 3) rotations for floating objects."""
    if space.floating:
        return random_rotations((count,), generator).to(space.reach.device)
    return 2 * math.pi * draw_uniform((count,), generator, space.reach)


def _with(scenes: SceneLatents, slot: int, **parts: Tensor) -> SceneLatents:
    def put(name: str, value: Tensor) -> Tensor:
        whole = getattr(scenes, name).clone()
        whole[:, slot] = value
        return whole

    return scenes.replace(**{name: put(name, value) for name, value in parts.items()})


@torch.no_grad()
def draw_starts(
    K: Tensor, space: SceneSpace, score: Score, candidates: int, generator: torch.Generator
) -> SceneLatents:
    """Sample the initial scene of each search, the best of `candidates` by `score`.

    Args:
        K: (S, 3, 3), pixels, the intrinsics of each search's image.
    """
    best, value = _drawn(K, space, generator), K.new_full((len(K),), -torch.inf)
    number = torch.arange(len(K), device=K.device)
    for index in range(candidates):
        scenes = best if index == 0 else _drawn(K, space, generator)
        worth = score(scenes, number)
        better = worth > value
        best = scenes.where(better, best)
        value = torch.where(better, worth, value)
    return best


def _drawn(K: Tensor, space: SceneSpace, generator: torch.Generator) -> SceneLatents:
    return space.family.sample(len(K), generator).latents.to(space.reach.device).replace(K=K)
