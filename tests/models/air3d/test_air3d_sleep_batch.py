"""Sampled, rendered and perturbed scenes."""

import math

import pytest
import torch
from small_air3d import BEFORE_IT, FAMILIES, drawn, fresh_model, rendered, same, seeded, space_of, table

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.scene_latents import (
    Prefixes,
    depths,
    draw_prefixes,
    draw_scenes,
    draw_step_inputs,
    nearest_first,
)
from inverse_graphics.models.air3d.wake_sleep import (
    SleepObjective,
    SleepSettings,
    StatePerturbation,
    perturb_scenes,
    sample_sleep_batch,
)
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.rendering.backdrop import table_and_background
from inverse_graphics.rendering.compositing import compose, composite_layers
from inverse_graphics.rendering.engine import Layers

MUCH = StatePerturbation(
    position_m=0.5, orientation_degrees=90, camera_degrees=45, camera_m=1.0, wrong_kind=0.7
)
NOTHING = StatePerturbation(position_m=0, orientation_degrees=0, camera_degrees=0, camera_m=0, wrong_kind=0)
USUAL = StatePerturbation.model_validate({})
THREE = table(counts=(1, 1, 1, 1))


def coverage_of(prefixes: Prefixes) -> torch.Tensor:
    assert prefixes.renders.coverage is not None
    return prefixes.renders.coverage


@pytest.fixture(params=[*FAMILIES.values(), THREE], ids=[*FAMILIES, "three"])
def model(request):
    return fresh_model(request.param)


def test_prefixes_are_scenes_of_their_own(model):
    """Each is what its objects look like alone, and covers what they cover."""
    space, engine = model.space, model.engine
    scenes = drawn(space, 12)
    prefixes = draw_prefixes(scenes, space, engine)
    slots = space.family.max_objects
    assert prefixes.renders.rgb.shape == (12, slots + 1, 3, 32, 32)
    assert coverage_of(prefixes).shape == (12, slots + 1, 1, 32, 32)
    for count in range(slots + 1):
        asset = scenes.asset.where(torch.arange(slots) < count, -1)
        alone = space.scene(scenes.replace(asset=asset))
        picture = composite_layers(alone, engine)
        torch.testing.assert_close(prefixes.renders.rgb[:, count], picture.image, rtol=0, atol=1e-6)
        torch.testing.assert_close(coverage_of(prefixes)[:, count, 0], picture.alpha, rtol=0, atol=1e-6)
        layers = engine.layers(alone.objects, alone.camera, alone.light)
        backdrop = table_and_background(alone.table, alone.background, alone.camera, alone.light)
        again = compose(Layers(*(part.flip(1) for part in layers)), backdrop)
        torch.testing.assert_close(prefixes.renders.rgb[:, count], again.image, rtol=0, atol=1e-5)
    assert (coverage_of(prefixes)[:, -1].amax((1, 2, 3)) > 0.5).equal(scenes.counts > 0)


def test_what_steps_are_shown_and_whole_scenes_are_prefixes(model):
    scenes = drawn(model.space, 12)
    prefixes = draw_prefixes(scenes, model.space, model.engine)
    shown = draw_step_inputs(scenes, model.space, model.engine)
    torch.testing.assert_close(shown.renders.rgb, prefixes.renders.rgb[:, :-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(coverage_of(shown), coverage_of(prefixes)[:, :-1], rtol=0, atol=1e-6)
    assert shown.scenes is scenes
    whole = draw_scenes(scenes, model.space, model.engine)
    torch.testing.assert_close(whole.rgb, prefixes.renders.rgb[:, -1], rtol=0, atol=1e-6)
    torch.testing.assert_close(whole.coverage, coverage_of(prefixes)[:, -1], rtol=0, atol=1e-6)


def shuffled(scenes, seed=0):
    """The same objects in any order, empty slots among them."""
    return scenes.take_slots(torch.rand(scenes.asset.shape, generator=seeded(seed)).argsort(dim=1))


def test_scenes_shuffled_come_back_nearest_first(model):
    scenes = drawn(model.space, 60)
    mixed = shuffled(scenes)
    there = scenes.asset >= 0
    sorted_again = nearest_first(mixed, model.space)
    assert torch.equal(sorted_again.asset, scenes.asset)
    assert torch.equal(sorted_again.position[there], scenes.position[there])
    assert torch.equal(sorted_again.orientation[there], scenes.orientation[there])
    assert torch.equal(sorted_again.orbit, scenes.orbit)
    if there.shape[1] > 1:
        assert not torch.equal(mixed.asset, scenes.asset)


def test_objects_just_as_near_keep_their_order_and_leave_empty_slots_to_the_end():
    space = space_of(table(BEFORE_IT, counts=(1, 1, 1, 1, 1)))
    asset = torch.tensor([[2, -1, 1, 0]])
    side_by_side = torch.tensor([[[0.2, 0.1], [0.0, -0.2], [-0.1, 0.1], [0.0, -0.1]]])
    scenes = SceneLatents(space.orbit_low[None], asset, side_by_side, torch.arange(4.0)[None], space.K[None])
    ordered = nearest_first(scenes, space)
    assert ordered.asset.tolist() == [[0, 2, 1, -1]]
    assert ordered.orientation.tolist() == [[3, 0, 2, 1]]


def test_an_order_moves_whole_objects(model):
    """And a picture of all of them stays as it is."""
    scenes = drawn(model.space, 8)
    order = torch.rand(scenes.asset.shape, generator=seeded(1)).argsort(dim=1)
    moved = scenes.take_slots(order)
    for image, slots in enumerate(order.tolist()):
        for new, old in enumerate(slots):
            for part in ("asset", "position", "orientation", "rotation"):
                assert torch.equal(getattr(moved, part)[image, new], getattr(scenes, part)[image, old])
    before, after = (rendered(model, one).rgb for one in (scenes, moved))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [USUAL, MUCH], ids=["usual", "much"])
def test_what_is_perturbed_stays_in_the_scene_space(model, size):
    space = model.space
    scenes = drawn(space, 400)
    off = perturb_scenes(scenes, space, size, seeded(1))
    assert (off.position.abs() <= space.reach).all()
    assert (off.orbit >= space.orbit_low).all()
    assert (off.orbit <= space.orbit_high).all()
    assert torch.equal(off.asset < 0, scenes.asset < 0)
    assert (off.asset < len(space.orientation_observable)).all()
    torch.testing.assert_close(off.rotation.det(), torch.ones(scenes.asset.shape))
    assert not torch.equal(off.position, scenes.position)
    known = space.orbit_low == space.orbit_high
    assert torch.equal(off.orbit[:, known], scenes.orbit[:, known])


def test_without_perturbation_scenes_are_what_they_are(model):
    scenes = drawn(model.space, 50)
    assert same(scenes, perturb_scenes(scenes, model.space, NOTHING, seeded(1)))


def test_perturbations_are_as_large_as_stated():
    """Standard deviations times a share that is uniform over images, the same for all of an image."""
    space = space_of(table(kinds=("glass", "mug"), counts=(0, 0, 1)))
    scenes = drawn(space, 1).repeat(8000)
    size = StatePerturbation(
        position_m=0.01, orientation_degrees=10, camera_degrees=1, camera_m=0.02, wrong_kind=0.4
    )
    off = perturb_scenes(scenes, space, size, seeded(2))
    moved = off.position - scenes.position
    spread = 1 / math.sqrt(3)  # of the share: E[u²] = 1/3
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.01 * spread, rel=0.03)
    turned = (off.orientation - scenes.orientation).square().mean().sqrt()
    assert float(turned) == pytest.approx(math.radians(10) * spread, rel=0.03)
    other = (off.asset != scenes.asset).float().mean()
    assert float(other) == pytest.approx(0.4 / 2 / 2, rel=0.1)  # half are off; half of those take the same
    sizes = moved.square().sum(-1)
    together = torch.corrcoef(sizes.T)[0, 1]
    assert together > 0.2


def test_samples_are_the_generators_alone(model):
    first, again, other = (
        sample_sleep_batch(model.space, model.engine, GaussianModel(0.05), USUAL, 6, seeded(s))
        for s in (1, 1, 2)
    )
    assert same(first, again)
    assert not torch.equal(first.observation.rgb, other.observation.rgb)


def test_a_sample_shows_its_scene_with_noise_of_the_stated_size(model):
    sleep_batch = sample_sleep_batch(model.space, model.engine, GaussianModel(0.07), MUCH, 40, seeded(3))
    noise = sleep_batch.observation.residual(rendered(model, sleep_batch.scenes))
    assert float(noise.std()) == pytest.approx(0.07, rel=0.02)
    assert abs(float(noise.mean())) < 0.001


def test_what_a_step_sees_is_drawn_from_the_camera_believed_in(model):
    space = model.space
    sleep_batch = sample_sleep_batch(space, model.engine, GaussianModel(0.05), MUCH, 10, seeded(4))
    none = drawn(space, 10)
    nothing = none.replace(orbit=sleep_batch.seen_orbit, asset=torch.full_like(none.asset, -1))
    empty = draw_prefixes(nothing, space, model.engine)
    torch.testing.assert_close(
        sleep_batch.prefixes.renders.rgb[:, 0], empty.renders.rgb[:, 0], rtol=0, atol=1e-6
    )
    assert (coverage_of(sleep_batch.prefixes)[:, 0] == 0).all()
    scene = space.scene(space.without_objects(sleep_batch.seen_orbit, none.K))
    backdrop = table_and_background(scene.table, scene.background, scene.camera, scene.light)
    torch.testing.assert_close(sleep_batch.prefixes.renders.rgb[:, 0], backdrop.rgb, rtol=0, atol=1e-6)


def test_samples_come_nearest_first_but_for_ties_which_come_in_any_order():
    space, tie_m = space_of(THREE), 0.1
    model = fresh_model(THREE)
    scenes = sample_sleep_batch(
        space, model.engine, GaussianModel(0.05), NOTHING, 400, seeded(6), tie_m
    ).scenes
    assert torch.equal(scenes.asset >= 0, torch.arange(3) < scenes.counts[:, None])
    depth = depths(scenes, space)
    behind = (depth[:, :-1] - depth[:, 1:])[depth[:, 1:].isfinite()]
    assert 0.7 * tie_m < behind.max() <= tie_m
    close = behind[behind.abs() < 0.2 * tie_m]
    assert len(close) > 20
    assert 0.25 < float((close > 0).float().mean()) < 0.75
    ordered = sample_sleep_batch(space, model.engine, GaussianModel(0.05), NOTHING, 400, seeded(6)).scenes
    assert (depths(ordered, space).diff(dim=1).nan_to_num(0) >= -1e-6).all()


def test_samples_have_the_familys_own_light():
    """Where the light varies, images do, though the network's canvases are lit from the middle."""
    model = fresh_model(table(BEFORE_IT, counts=(0, 1), light_range_degrees=80.0))
    sleep_batch = sample_sleep_batch(model.space, model.engine, GaussianModel(1e-9), NOTHING, 30, seeded(5))
    scene = model.space.family.sample(30, seeded(5)).scene
    torch.testing.assert_close(
        sleep_batch.observation.rgb, composite_layers(scene, model.engine).image, rtol=0, atol=1e-5
    )


def test_the_sleep_loss_is_minus_the_mean_log_posterior(model):
    objective = SleepObjective(model, SleepSettings())
    batch = objective.batch(10, seeded(6))
    loss, watched = objective.loss(batch, 0, seeded(7))
    parts = sum(float(watched[f"log_q_{name}"]) for name in ("camera", "presence", "objects"))
    assert float(loss.detach()) == pytest.approx(-parts, rel=1e-5)
    assert loss.requires_grad
