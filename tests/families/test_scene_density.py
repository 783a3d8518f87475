"""The density of a family's scenes against its samples, by enumeration and by Monte Carlo."""

import math
from itertools import product

import pytest
import torch

from inverse_graphics.families.family import IMPOSSIBLE, SceneLatents
from inverse_graphics.families.registry import build_family
from inverse_graphics.families.single_object import SingleObjectSettings
from inverse_graphics.families.table_top import TableTop, TableTopSettings
from inverse_graphics.geometry.transforms import random_rotations

SINGLE = SingleObjectSettings(image_size=32)
KNOWN = {"azimuth_degrees": -90.0, "elevation_degrees": 45.0, "distance_m": 1.5}
CROWDED = {"reach_m": (0.12, 0.12)}


def table(kinds=("plate", "mug", "glass"), counts=(1, 1, 1), **settings):
    """Settings of a table-top family."""
    names = tuple(f"crockery/{kind}" for kind in kinds)
    return TableTopSettings(kinds=names, count_weights=counts, image_size=32, **settings)


FAMILIES = {"free camera": table(), "known camera": table(**KNOWN), "floating": SINGLE}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def filled(scenes):
    """The same with something in the empty slots."""
    return scenes.replace(asset=scenes.asset.clamp(min=0))


def anywhere(family, asset, seed=0):
    """Scenes of given kinds (B, N), uniform over all placements, whether they fit or not."""
    extent, generator, (count, slots) = family.extent, seeded(seed), asset.shape
    uniform = torch.rand(count, slots, 2, generator=generator)
    orientation = math.pi * (2 * torch.rand(count, slots, generator=generator) - 1)
    if family.floating:
        orientation = random_rotations((count, slots), generator)
    share = torch.rand(count, 3, generator=generator)
    orbit = extent.orbit_low + (extent.orbit_high - extent.orbit_low) * share
    K = extent.K.expand(count, 3, 3)
    return SceneLatents(orbit, asset, extent.reach * (2 * uniform - 1), orientation, K)


def volume(family, kinds):
    """Of all cameras, places and visible orientations of objects of these kinds."""
    extent = family.extent
    width = extent.orbit_high - extent.orbit_low
    yaws = 0 if family.floating else int(extent.orientation_observable[list(kinds)].sum())
    return width[width > 0].prod() * (2 * extent.reach).prod() ** len(kinds) * (2 * math.pi) ** yaws


@pytest.mark.parametrize(
    "settings",
    [table(counts=(1, 1)), table(counts=(1, 1), **KNOWN), SINGLE, table(counts=(2, 3))],
    ids=[*FAMILIES, "two to three"],
)
def test_a_density_without_neighbours_integrates_to_one_exactly(settings):
    """Over counts, kinds, places, visible yaws and cameras; it is constant in all but the first two."""
    family = build_family(settings)
    assert family.max_objects == 1
    kinds = range(len(family.kinds))
    log_prob = family.log_prob(anywhere(family, torch.tensor([[kind] for kind in kinds])))
    none = log_prob[0, 0].exp() * volume(family, ())
    one = sum(log_prob[kind, 1].exp() * volume(family, (kind,)) for kind in kinds)
    torch.testing.assert_close(none + one, torch.ones(()))
    torch.testing.assert_close(one, torch.tensor(family.count_probabilities[1]))


def test_with_neighbours_it_integrates_to_how_often_placements_fit():
    """Of each count and pair of kinds alike: what does not fit is missing, and is not made up for."""
    family = TableTop.build(table(kinds=("glass", "mug", "pan"), counts=(1, 2, 3), **CROWDED))
    draws = 4000
    for pair in product(range(3), repeat=2):
        asset = torch.tensor([pair]).expand(draws, 2)
        density = family.log_prob(anywhere(family, asset)).exp() * volume(family, pair)
        first = density[:, 1] * 9 / volume(family, pair) * volume(family, pair[:1]) / 3
        torch.testing.assert_close(first, torch.full((draws,), family.count_probabilities[1]))
        rate = family.placement.fits(asset, *family.placement.propose(asset, seeded(1))).float().mean()
        claimed = 9 * float(density[:, 2].mean()) / family.count_probabilities[2]
        assert abs(claimed - float(rate)) < 4 * math.sqrt(0.5 / draws)
        assert rate < 0.9  # there is something missing


@pytest.mark.parametrize("settings", FAMILIES.values(), ids=FAMILIES.keys())
def test_scenes_of_the_family_are_possible(settings):
    family = build_family(settings)
    scenes = family.sample(300, seeded()).latents
    full = scenes[scenes.counts == family.max_objects]
    assert len(full) > 50
    assert (family.overlap(full) == 0).all()
    possible = torch.tensor(family.count_probabilities) > 0
    assert torch.equal(family.log_prob(full) > IMPOSSIBLE / 2, possible.expand(len(full), -1))


def test_objects_that_cut_into_each_other_are_impossible_from_the_second_on():
    family = build_family(table(kinds=("glass",), counts=(1, 1, 1, 1)))
    scenes = filled(family.sample(1, seeded()).latents)
    apart = torch.tensor([[[-0.2, 0.0], [0.2, 0.0], [0.0, 0.2]]])
    possible = family.log_prob(scenes.replace(position=apart))
    for moved, expected in [
        (apart, [0, 0, 0, 0]),
        (apart[:, [0, 0, 1]], [0, 0, 1, 1]),
        (apart[:, [0, 1, 0]], [0, 0, 0, 1]),
        (apart[:, [0, 1, 1]] + torch.tensor([[[0], [0], [0.01]]]), [0, 0, 0, 1]),
    ]:
        cut = family.log_prob(scenes.replace(position=moved)) - possible
        torch.testing.assert_close(cut, torch.tensor([expected]) * IMPOSSIBLE)


def test_without_repeats_kinds_are_drawn_from_those_left():
    """Of ordered pairs of different kinds, each is as probable as in the family; no kind comes twice."""
    family = build_family(table(counts=(0, 0, 1), repeats=False))
    pairs = torch.tensor(list(product(range(3), repeat=2)))
    apart = torch.tensor([[-0.2, 0.0], [0.2, 0.0]]).expand(9, 2, 2)
    log_prob = family.log_prob(anywhere(family, pairs).replace(position=apart))[:, 2]
    volumes = torch.stack([volume(family, pair) for pair in pairs.tolist()])
    drawn = family.sample(20_000, seeded()).latents
    frequency = torch.zeros(9).index_add(
        0, (drawn.asset * torch.tensor([3, 1])).sum(1), torch.ones(20_000) / 20_000
    )
    probability = log_prob.exp() * volumes
    different = pairs[:, 0] != pairs[:, 1]
    torch.testing.assert_close(probability, different / 6)
    assert (frequency - probability).abs().max() < 4 * math.sqrt(0.25 / 20_000)


def test_overlap_is_how_far_pairs_are_short_of_the_clearance():
    family = TableTop.build(table(kinds=("glass", "mug"), counts=(1, 1, 1, 1), **CROWDED))
    scenes = anywhere(family, torch.randint(2, (60, 3), generator=seeded(3)), seed=4)
    gaps = family.footprints.separation(scenes.asset, scenes.position, scenes.orientation)
    expected = torch.zeros(60, 4)
    for scene, count in product(range(60), range(4)):
        for i in range(count):
            for j in range(i):
                expected[scene, count] += max(0.0, 0.01 - float(gaps[scene, i, j]))
    torch.testing.assert_close(family.overlap(scenes), expected, rtol=1e-4, atol=1e-6)
    assert (expected[:, 3] > expected[:, 2]).any()


@pytest.mark.parametrize("settings", FAMILIES.values(), ids=FAMILIES.keys())
def test_fewer_objects_than_two_do_not_overlap(settings):
    family = build_family(settings)
    scenes = family.sample(5, seeded()).latents
    assert torch.equal(family.overlap(scenes.first_slots(1)), torch.zeros(5, 2))
    assert torch.equal(family.overlap(scenes.first_slots(0)), torch.zeros(5, 1))


def test_overlap_pushes_apart():
    family = build_family(table(kinds=("glass",)))
    scenes = filled(family.sample(1, seeded()).latents)
    position = torch.tensor([[[0.0, 0.0], [0.03, 0.01]]], requires_grad=True)
    too_close = family.overlap(scenes.replace(position=position))[0, 2]
    (slope,) = torch.autograd.grad(too_close, position)
    between = (position[0, 1] - position[0, 0]).detach()
    assert slope[0, 1] @ between < 0  # farther is less overlap
    torch.testing.assert_close(slope[0, 0], -slope[0, 1])
