"""The prior's density against the family that it is the density of."""

import math
from itertools import product

import pytest
import torch
from small_air3d import ANYWHERE, FAMILIES, SINGLE, drawn, filled, seeded, space_of, table

from inverse_graphics.geometry.transforms import random_rotations
from inverse_graphics.models.air3d.prior import interpenetration, log_prior_of_prefixes, overlap
from inverse_graphics.models.air3d.scene_latents import SceneLatents
from inverse_graphics.models.air3d.scene_space import IMPOSSIBLE

CROWDED = {"reach_m": (0.12, 0.12)}


def anywhere(space, asset, seed=0):
    """Scenes of given kinds (B, N), uniform over all placements, whether they fit or not."""
    generator, (count, slots) = seeded(seed), asset.shape
    uniform = torch.rand(count, slots, 2, generator=generator)
    orientation = math.pi * (2 * torch.rand(count, slots, generator=generator) - 1)
    if space.floating:
        orientation = random_rotations((count, slots), generator)
    share = torch.rand(count, 3, generator=generator)
    orbit = space.orbit_low + (space.orbit_high - space.orbit_low) * share
    return SceneLatents(orbit, asset, space.reach * (2 * uniform - 1), orientation)


def volume(space, kinds):
    """Of all cameras, places and visible turns of objects of these kinds."""
    camera = (space.orbit_high - space.orbit_low)[space.free].prod()
    place = (2 * space.reach).prod() ** len(kinds)
    return (
        camera
        * place
        * (1 if space.floating else (2 * math.pi) ** int(space.orientation_observable[list(kinds)].sum()))
    )


@pytest.mark.parametrize(
    "family", [*FAMILIES.values(), table(counts=(2, 3))], ids=[*FAMILIES, "two to three"]
)
def test_a_density_without_neighbours_integrates_to_one_exactly(family):
    """Over counts, kinds, places, visible turns and cameras; it is constant in all but the first two."""
    space = space_of(family | ({} if family is SINGLE else {"count_weights": family["count_weights"][:2]}))
    assert space.family.max_objects == 1
    kinds = range(len(space.orientation_observable))
    log_prior = log_prior_of_prefixes(anywhere(space, torch.tensor([[kind] for kind in kinds])), space)
    none = log_prior[0, 0].exp() * volume(space, ())
    one = sum(log_prior[kind, 1].exp() * volume(space, (kind,)) for kind in kinds)
    torch.testing.assert_close(none + one, torch.ones(()))
    torch.testing.assert_close(one, torch.tensor(space.family.count_probabilities[1]))


def test_with_neighbours_it_integrates_to_how_often_placements_fit():
    """Of each count and pair of kinds alike: what does not fit is missing, and is not made up for."""
    space = space_of(table(ANYWHERE, kinds=("glass", "mug", "pan"), counts=(1, 2, 3), **CROWDED))
    family, draws = space.family, 4000
    for pair in product(range(3), repeat=2):
        asset = torch.tensor([pair]).expand(draws, 2)
        density = log_prior_of_prefixes(anywhere(space, asset), space).exp() * volume(space, pair)
        first = density[:, 1] * 9 / volume(space, pair) * volume(space, pair[:1]) / 3
        torch.testing.assert_close(first, torch.full((draws,), family.count_probabilities[1]))
        rate = family.placement.fits(asset, *family.placement.propose(asset, seeded(1))).float().mean()
        claimed = 9 * float(density[:, 2].mean()) / family.count_probabilities[2]
        assert abs(claimed - float(rate)) < 4 * math.sqrt(0.5 / draws)
        assert rate < 0.9  # there is something missing


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_scenes_of_the_family_are_possible(family):
    space = space_of(family)
    scenes = drawn(space, 300)
    full = scenes[scenes.counts == space.family.max_objects]
    assert len(full.asset) > 50
    assert (interpenetration(full, space) == 0).all()
    log_prior = log_prior_of_prefixes(full, space)
    possible = torch.tensor(space.family.count_probabilities) > 0
    assert torch.equal(log_prior > IMPOSSIBLE / 2, possible.expand_as(log_prior))


def test_objects_that_cut_into_each_other_are_impossible_from_the_second_on():
    space = space_of(table(kinds=("glass",), counts=(1, 1, 1, 1)))
    scenes = filled(drawn(space, 1))
    apart = torch.tensor([[[-0.2, 0.0], [0.2, 0.0], [0.0, 0.2]]])
    for moved, expected in [
        (apart, [0, 0, 0, 0]),
        (apart[:, [0, 0, 1]], [0, 0, 1, 1]),
        (apart[:, [0, 1, 0]], [0, 0, 0, 1]),
        (apart[:, [0, 1, 1]] + torch.tensor([[[0], [0], [0.01]]]), [0, 0, 0, 1]),
    ]:
        cut = interpenetration(scenes.replace(position=moved), space)
        assert torch.equal(cut, torch.tensor([expected]) * IMPOSSIBLE)


def test_without_repeats_kinds_are_drawn_from_those_left():
    """Of ordered pairs of different kinds, each is as probable as in the family; no kind comes twice."""
    space = space_of(table(counts=(0, 0, 1), repeats=False))
    pairs = torch.tensor(list(product(range(3), repeat=2)))
    apart = torch.tensor([[-0.2, 0.0], [0.2, 0.0]]).expand(9, 2, 2)
    log_prior = log_prior_of_prefixes(anywhere(space, pairs).replace(position=apart), space)[:, 2]
    volumes = torch.stack([volume(space, pair) for pair in pairs.tolist()])
    frequency = torch.zeros(9).index_add(
        0, (drawn(space, 20_000).asset * torch.tensor([3, 1])).sum(1), torch.ones(20_000) / 20_000
    )
    probability = log_prior.exp() * volumes
    different = pairs[:, 0] != pairs[:, 1]
    torch.testing.assert_close(probability, different / 6)
    assert (frequency - probability).abs().max() < 4 * math.sqrt(0.25 / 20_000)


def test_overlap_is_how_far_pairs_are_short_of_the_clearance():
    space = space_of(table(kinds=("glass", "mug"), counts=(1, 1, 1, 1), **CROWDED))
    scenes = anywhere(space, torch.randint(2, (60, 3), generator=seeded(3)), seed=4)
    gaps = space.family.footprints.separation(scenes.asset, scenes.position, scenes.orientation)
    expected = torch.zeros(60, 4)
    for scene, count in product(range(60), range(4)):
        for i in range(count):
            for j in range(i):
                expected[scene, count] += max(0.0, 0.01 - float(gaps[scene, i, j]))
    torch.testing.assert_close(overlap(scenes, space), expected, rtol=1e-4, atol=1e-6)
    assert (expected[:, 3] > expected[:, 2]).any()


def test_overlap_pushes_apart():
    space = space_of(table(kinds=("glass",), counts=(1, 1, 1)))
    scenes = filled(drawn(space, 1))
    position = torch.tensor([[[0.0, 0.0], [0.03, 0.01]]], requires_grad=True)
    too_close = overlap(scenes.replace(position=position), space)[0, 2]
    (slope,) = torch.autograd.grad(too_close, position)
    between = (position[0, 1] - position[0, 0]).detach()
    assert slope[0, 1] @ between < 0  # farther is less overlap
    torch.testing.assert_close(slope[0, 0], -slope[0, 1])
