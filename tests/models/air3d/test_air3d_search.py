"""Searched scenes: the best of many proposals are refined, and resampled by their likelihood."""

import math

import pytest
import torch
from small_air3d import BEFORE_IT, SINGLE, drawn, fresh_model, noisy, rendered, same, seeded, table

from inverse_graphics.distributions.sampler import DefensiveMixture
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.scene_latents import draw_prefixes, draw_scenes
from inverse_graphics.models.air3d.search import Search, choose_orientation, refine, search_scenes
from inverse_graphics.packs.symmetry import symmetric_angle

FAMILIES = {"table": table(BEFORE_IT, counts=(1, 1)), "floating": SINGLE}
WIDE = DefensiveMixture(kinds=1.0, rest=0.5)


@pytest.fixture(params=list(FAMILIES.values()), ids=list(FAMILIES))
def model(request):
    return fresh_model(request.param)


def images_of(model, count):
    return noisy(model, drawn(model.space, count))


def explained(model, images, scenes):
    with torch.no_grad():
        return model.observation_model.log_prob(images, rendered(model, scenes))


def test_more_proposals_more_of_them_improved_and_more_steps_explain_images_better(model):
    images = images_of(model, 96)
    found = [
        explained(
            model, images, search_scenes(model, images, Search(*how, mixture=WIDE), 1.0, seeded(2))
        ).mean()
        for how in ((1, 1, 0), (16, 1, 0), (16, 1, 6), (16, 4, 6))
    ]
    assert found == sorted(found)
    assert found[-1] - found[0] > 20


def test_a_high_temperature_does_not_care(model):
    images = images_of(model, 24)
    cold, hot = (
        explained(
            model, images, search_scenes(model, images, Search(8, 4, 0, mixture=WIDE), t, seeded(2))
        ).mean()
        for t in (1.0, 1e9)
    )
    assert cold > hot + 50


def test_several_scenes_are_drawn_without_replacement(model):
    images = images_of(model, 5)
    proposals = propose(model, images, 6, seeded(1), WIDE)
    most = proposals.log_joint.shape[0] * proposals.log_joint.shape[2]
    scenes = proposals.resample_several(seeded(2), 1e9, most // 2)
    for image in range(5):
        own = [tuple(part[image::5].flatten(1).unbind()) for part in (scenes.position, scenes.asset)]
        pairs = {(tuple(p.tolist()), tuple(a.tolist())) for p, a in zip(*own, strict=True)}
        empty = sum(all(kind < 0 for kind in kinds) for _, kinds in pairs)
        assert len(pairs) == most // 2 or empty > 1


def test_proposals_are_compared_by_the_likelihood_that_is_given(model):
    """A search compares at several scales; scenes and their prior stay as they are."""
    images = images_of(model, 4)
    surrogate = model.observation_model.pyramid(3)
    exact, coarse = (propose(model, images, 5, seeded(1), WIDE, how) for how in (None, surrogate))
    assert torch.equal(exact.scenes.position, coarse.scenes.position)
    assert torch.equal(exact.log_posterior, coarse.log_posterior)
    renders = draw_prefixes(coarse.scenes, model.space, model.engine).renders
    prior = model.space.family.log_prob(coarse.scenes)
    expected = surrogate.log_prob(images.repeat(5)[:, None], renders) + prior
    torch.testing.assert_close(coarse.log_joint.flatten(0, 1), expected, rtol=1e-4, atol=1e-2)
    assert not torch.isclose(exact.log_joint, coarse.log_joint, rtol=1e-3).any()


def upside_down(scenes):
    """Each object turned by half about an axis across its own upright one, or by half about that."""
    if scenes.orientation.dim() == 2:
        return scenes.replace(orientation=scenes.orientation + math.pi)
    return scenes.replace(orientation=scenes.orientation @ torch.diag(torch.tensor([1.0, -1.0, -1.0])))


def off_by_degrees(model, scenes, truth):
    symmetries = model.space.family.symmetries
    pairs = zip(scenes.rotation.flatten(0, 1), truth.rotation.flatten(0, 1), strict=True)
    kinds = truth.asset.flatten().tolist()
    each = [
        symmetric_angle(found, true, symmetries[kind])
        for (found, true), kind in zip(pairs, kinds, strict=True)
    ]
    return torch.rad2deg(torch.stack(each))


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (table(BEFORE_IT, kinds=("mug",), counts=(0, 0, 1), size=64), "mugs"),
        (SINGLE | {"kinds": ("primitives/cylinder",), "image_size": 64}, "cylinders"),
    ],
    ids=["upright", "floating"],
)
def test_what_was_found_turned_by_half_is_turned_back(family, kind):
    """A gradient finds no way there, which is the control."""
    model = fresh_model(family, sigma=0.05)
    truth = drawn(model.space, 12, seed=4)
    images = model.observation_model.sample(draw_scenes(truth, model.space, model.engine), seeded(1))
    wrong = upside_down(truth)
    uphill = refine(wrong, images, model, 12)
    found = wrong
    for slot in range(model.max_objects):
        found = choose_orientation(model, images, found, slot, Search(1, 1, 0, orientation_steps=12))
    right = [float((off_by_degrees(model, scenes, truth) < 10).float().mean()) for scenes in (uphill, found)]
    assert right[0] < 0.5
    assert right[1] > (0.7 if kind == "mugs" else 0.9)  # a handle may be behind its mug
    assert (explained(model, images, found) >= explained(model, images, wrong)).all()


def test_what_has_no_turn_is_given_back(model):
    model = fresh_model(table(BEFORE_IT, kinds=("glass", "plate"), counts=(1, 1, 1)))
    scenes = drawn(model.space, 8)
    assert (
        choose_orientation(model, images_of(model, 8), scenes, 0, Search(1, 1, 0, orientation_steps=4))
        is scenes
    )


def test_turned_proposals_leave_other_objects_rows_and_orders_alone():
    model = fresh_model(table(BEFORE_IT, counts=(1, 1, 1)))
    truth, images = drawn(model.space, 24, seed=2), images_of(model, 24)
    found = choose_orientation(model, images, truth, 1, Search(1, 1, 0, orientation_steps=1))
    untouched = (truth.asset[:, 1] < 0) | ~model.space.orientation_observable[truth.asset[:, 1]]
    assert untouched.any()
    assert not untouched.all()
    assert same(truth[untouched], found[untouched])
    assert torch.equal(truth.asset, found.asset)
