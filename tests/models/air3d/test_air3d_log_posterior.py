"""All steps at once say what the loop says one step at a time."""

import math

import pytest
import torch
from small_air3d import (
    FAMILIES,
    STATES,
    Replayed,
    drawn,
    filled,
    fresh_model,
    loud_model,
    rendered,
    seeded,
    table,
)

from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.scene_latents import draw_prefixes
from inverse_graphics.models.air3d.wake_sleep import StatePerturbation, perturb_scenes, sample_sleep_batch
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.scene.camera_batch import project

THREE = table(kinds=("glass", "mug"), counts=(1, 1, 1, 1), clearance_m=0.0)
EXACT = StatePerturbation(position_m=0, orientation_degrees=0, camera_degrees=0, camera_m=0, wrong_kind=0)
CASES = {**FAMILIES, "three": THREE, "at least one": table(counts=(0, 1, 1))}


def may_be_named(truth, space, image, slot, tie_m):
    """Of the objects left at a step, those no farther behind the nearest of them than `tie_m`."""
    depth = project(space.world(truth.position), space.cameras(truth.orbit, truth.K))[1][image].tolist()
    left = range(slot, int(truth.counts[image]))
    return [other for other in left if depth[other] <= min(depth[i] for i in left) + tie_m]


def step_by_step(model, images, truth, shown, tie_m=0.0):
    """log q(truth | images) in parts, the loop being led along the scenes shown."""
    inference = attend_infer_repeat(model, images, Replayed(filled(shown), model.space))
    camera = torch.zeros(len(images))
    posterior = model.camera(model.features(images))
    if posterior is not None:
        camera = posterior.log_prob(truth.orbit[:, model.space.free])
    presence = inference.log_count.gather(1, truth.counts[:, None])[:, 0]
    objects = torch.zeros(len(images))
    for image, count in enumerate(truth.counts.tolist()):
        for slot in range(count):
            q = inference.objects[slot].latents.posterior
            allowed = may_be_named(truth, model.space, image, slot, tie_m) if tie_m else [slot]
            each = [
                q.log_prob(
                    filled(truth).asset[:, other],
                    truth.position[:, other],
                    truth.orientation[:, other],
                    model.space,
                )[image]
                for other in allowed
            ]
            objects[image] += torch.stack(each).logsumexp(0) - math.log(len(each))
    return camera, presence, objects


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def family(request):
    return request.param


@pytest.fixture(params=STATES)
def model(request, family):
    return loud_model(family, seed=2, state=request.param)


@pytest.fixture
def scenes(model):
    scenes = drawn(model.space, 24, seed=3)
    possible = {n for n, p in enumerate(model.space.family.count_probabilities) if p > 0}
    assert set(scenes.counts.tolist()) == possible
    return scenes


def seen(model, scenes):
    return GaussianModel(0.05).sample(rendered(model, scenes), seeded(4))


@torch.no_grad()
def test_it_equals_the_loop_led_along_the_truth(model, scenes):
    images = seen(model, scenes)
    predicted = log_posterior(model, images, scenes, draw_prefixes(scenes, model.space, model.engine))
    expected = step_by_step(model, images, scenes, scenes)
    for part, reference in zip(predicted, expected, strict=True):
        torch.testing.assert_close(part, reference, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(predicted.total, sum(expected), rtol=1e-4, atol=1e-3)
    assert predicted.total.std() > 1  # the network does tell scenes apart


@torch.no_grad()
def test_it_equals_the_loop_led_along_scenes_a_little_off(model, scenes):
    images = seen(model, scenes)
    much = StatePerturbation(position_m=0.05, camera_degrees=5, camera_m=0.1, wrong_kind=0.5)
    shown = perturb_scenes(scenes, model.space, much, seeded(5))
    prefixes = draw_prefixes(shown, model.space, model.engine)
    predicted = log_posterior(model, images, scenes, prefixes, shown.orbit)
    for part, reference in zip(predicted, step_by_step(model, images, scenes, shown), strict=True):
        torch.testing.assert_close(part, reference, rtol=1e-4, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("state", STATES)
def test_of_objects_as_near_any_may_be_named(state):
    """Each step's density is the mean over those that are left and no farther behind than the tie."""
    model, tie_m = fresh_model(THREE, seed=2, state=state), 0.1
    space = model.space
    batch = sample_sleep_batch(space, model.engine, GaussianModel(0.05), EXACT, 60, seeded(3), tie_m)
    predicted = log_posterior(model, batch.observation, batch.scenes, batch.prefixes, tie_m=tie_m)
    expected = step_by_step(model, batch.observation, batch.scenes, batch.scenes, tie_m)
    for part, reference in zip(predicted, expected, strict=True):
        torch.testing.assert_close(part, reference, rtol=1e-4, atol=1e-3)
    strict = log_posterior(model, batch.observation, batch.scenes, batch.prefixes)
    assert (strict.objects - predicted.objects).abs().max() > 0.1
    firsts = [may_be_named(batch.scenes, space, i, 0, tie_m) for i in range(60) if batch.scenes.counts[i]]
    assert {len(first) for first in firsts} == {1, 2, 3}
    assert all(0 in first for first in firsts)  # the one that is drawn first may be named


@torch.no_grad()
def test_counts_of_one_scenes_prefixes_have_probabilities_that_sum_to_one(model):
    """So a scene of all N objects has no decision to stop in it, and one of none has only that."""
    space = model.space
    full = filled(drawn(space, 10, seed=6))
    images, prefixes = seen(model, full), draw_prefixes(full, space, model.engine)
    total = torch.zeros(10)
    for count in range(model.max_objects + 1):
        slots = torch.arange(model.max_objects)
        first = full.replace(asset=full.asset.where(slots < count, -1))
        predicted = log_posterior(model, images, first, prefixes)
        total = total + predicted.presence.exp()
        if count == 0:
            assert (predicted.objects == 0).all()
    torch.testing.assert_close(total, torch.ones(10))


def test_only_what_is_predicted_of_a_scene_is_taught(model):
    """Scenes without objects teach nothing of kinds and places; an empty slot's contents are never read."""
    space = model.space
    scenes = drawn(space, 8, seed=7)
    empty = scenes.replace(asset=torch.full_like(scenes.asset, -1))
    images, prefixes = seen(model, empty), draw_prefixes(empty, space, model.engine)
    log_posterior(model, images, empty, prefixes).objects.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    elsewhere = empty.replace(position=empty.position * 0 + torch.nan)
    one, other = (log_posterior(model, images, s, prefixes) for s in (empty, elsewhere))
    assert torch.equal(one.total, other.total)
