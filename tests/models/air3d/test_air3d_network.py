"""The network: its divergences, its steps, its precision, and its way to disk and back."""

import json
import math
from pathlib import Path

import pytest
import torch
from small_air3d import (
    BEFORE_IT,
    FAMILIES,
    SINGLE,
    STATES,
    drawn,
    fresh_model,
    loud_model,
    same,
    seeded,
    settings_of,
    table,
)
from torch.nn.functional import interpolate, pixel_unshuffle, relu

from inverse_graphics.distributions.discrete import Categorical
from inverse_graphics.distributions.sampler import PointEstimate, Reparameterised
from inverse_graphics.errors import ModelError
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air3d.features import Maps
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.posterior import ObjectParameters, object_posterior, orientation_parameters
from inverse_graphics.models.air3d.proposals import sampled_latents
from inverse_graphics.models.air3d.wake_sleep import StatePerturbation, sample_sleep_batch
from inverse_graphics.models.weights import ModelDocument, load_model, save_model
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.rendering.compositing import composite_layers


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES.keys())
def family(request):
    return request.param


@pytest.fixture(params=STATES)
def model(request, family):
    return loud_model(family, state=request.param)


def sleep_batch_of(model, count, seed=0):
    return sample_sleep_batch(
        model.space,
        model.engine,
        GaussianModel(0.05),
        StatePerturbation.model_validate({}),
        count,
        seeded(seed),
    )


@pytest.mark.parametrize("family", [table(), SINGLE], ids=["table", "floating"])
def test_the_divergence_of_an_object_is_its_mean_log_ratio_to_the_prior(family):
    model = fresh_model(family)
    space, draws, sampler = model.space, 12_000, Reparameterised(seeded(1))
    numbers = ObjectParameters(
        pixel=torch.tensor([[14.0, 18.0]]),
        presence=torch.zeros(1),
        identity=torch.tensor([[0.3, 0.0, -0.4]]),
        raw_std=torch.zeros(1, 2),
        orientation=2 * torch.randn(1, orientation_parameters(3, space.floating), generator=seeded(2)),
    )
    numbers = ObjectParameters(*(part.expand(draws, *part.shape[1:]) for part in numbers))
    with torch.no_grad():
        orbit = (0.5 * (space.orbit_low + space.orbit_high)).expand(draws, 3)
        posterior = object_posterior(numbers, space.cameras(orbit, space.K), orbit[:, 0], space)
        asset = sampler(Categorical(posterior.identity)).long()
        position, orientation = sampler(posterior.position), sampler(posterior.orientation)
        log_prior = -math.log(len(space.orientation_observable)) - (2 * space.reach).log().sum()
        if not space.floating:
            log_prior = log_prior - math.log(2 * math.pi) * space.orientation_observable[asset]
        ratio = posterior.log_prob(asset, position, orientation, space) - log_prior
        claimed = model._kl(posterior, asset, orientation)
        turned = posterior.visible_orientation(asset, space).kl_to_uniform(orientation)
        blind = claimed + turned * ~space.orientation_observable[asset]
    error = math.hypot(float(ratio.std()), float(claimed.std())) / math.sqrt(draws)
    assert error < 0.04
    assert abs(float(ratio.mean() - claimed.mean())) < 4 * error
    assert abs(float(ratio.mean() - blind.mean())) > 4 * error  # turns that cannot be seen must not count


def test_each_step_sees_the_composite_of_the_objects_before_it(model):
    observation = sleep_batch_of(model, 6).observation
    with torch.no_grad():
        inference = attend_infer_repeat(model, observation, Reparameterised(seeded(2)))
    latents, scenes = [step.latents for step in inference.objects], sampled_latents(inference)
    for count in range(model.max_objects + 1):
        scene = model.space.scene(scenes.first_slots(count))
        render = Rendered.from_rendering(composite_layers(scene, model.engine))
        reconstruction = latents[count].before if count < model.max_objects else latents[-1].after
        torch.testing.assert_close(reconstruction.rgb, render.rgb, rtol=0, atol=1e-5)
        torch.testing.assert_close(reconstruction.coverage, render.coverage, rtol=0, atol=1e-5)
        torch.testing.assert_close(reconstruction.depth, render.depth, rtol=1e-5, atol=1e-5)
        log_likelihood = model.observation_model.log_prob(observation, render)
        torch.testing.assert_close(inference.log_likelihood[:, count], log_likelihood, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("state", STATES)
def test_what_a_step_knows_of_those_before_carries_gradient_unless_configured_otherwise(state):
    model = loud_model(table(BEFORE_IT, counts=(0, 0, 1)), state=state)
    observation = sleep_batch_of(model, 4).observation

    def slope(reconstruction_gradient):
        """Of the second object's mean in where the first is."""
        initial = model.begin(observation, PointEstimate(), reconstruction_gradient)
        inference = attend_infer_repeat(model, observation, PointEstimate(), initial=initial)
        first, second = (step.latents for step in inference.objects)
        return torch.autograd.grad(second.position.sum(), first.position, allow_unused=True)[0]

    assert (slope(True) != 0).any()
    assert slope(False) is None


def test_a_known_camera_is_neither_asked_for_nor_paid_for():
    model = fresh_model(table(BEFORE_IT))
    assert not hasattr(model, "camera_head")
    observation = sleep_batch_of(model, 3).observation
    assert model.camera(model.features(observation)) is None
    initial = model.begin(observation, PointEstimate())
    assert (initial.kl == 0).all()
    expected = torch.tensor([-math.pi / 2, math.pi / 4, 1.5]).expand(3, 3)
    torch.testing.assert_close(initial.state.orbit, expected)


def test_what_every_scene_has_is_present():
    model = fresh_model(SINGLE, presence_bias=-5.0)
    reading = read_scenes(model, sleep_batch_of(model, 4).observation)
    assert (reading.scenes.counts == 1).all()
    torch.testing.assert_close(reading.count_probabilities, torch.tensor([[0.0, 1.0]]).expand(4, 2))
    model = fresh_model(table(counts=(0, 1, 1)), presence_bias=-5.0)
    reading = read_scenes(model, sleep_batch_of(model, 4).observation)
    assert (reading.scenes.counts == 1).all()
    assert (reading.count_probabilities[:, 0] < 1e-9).all()


def test_readings_are_complete_and_alike_however_images_are_batched(model):
    observation = sleep_batch_of(model, 5).observation
    whole = read_scenes(model, observation)
    parts = [read_scenes(model, observation[i : i + 1]) for i in range(5)]
    for name in ("count_probabilities", "identity_probability", "position_std", "prefixes", "log_likelihood"):
        each = torch.cat([getattr(part, name) for part in parts])
        torch.testing.assert_close(getattr(whole, name), each, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(whole.count_probabilities.sum(-1), torch.ones(5))
    assert torch.equal(whole.scenes.counts, whole.count_probabilities.argmax(-1))
    shown = whole.prefixes[torch.arange(5), whole.scenes.counts]
    log_likelihood = model.observation_model.log_prob(observation, Rendered(shown))
    torch.testing.assert_close(whole.log_likelihood, log_likelihood, rtol=1e-4, atol=1e-2)


def test_a_network_without_memory_has_the_tensors_of_one_with_it(model):
    with torch.device("meta"):
        empty = Air3D(model.settings)
    assert all(parameter.is_meta for parameter in empty.parameters())
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == shapes
    assert not any(name.startswith("stage.") for name in shapes)  # settings are not trained


def test_weights_come_back_and_read_alike(model, tmp_path: Path):
    document = ModelDocument(
        kind="air3d",
        settings=model.settings.model_dump(mode="json"),
        asset_pack_sha256=model.space.family.packs_hash,
    )
    save_model(tmp_path / "model", model, document, "a card\n")
    loaded = load_model(tmp_path / "model").module
    assert isinstance(loaded, Air3D)
    assert loaded.settings == model.settings
    before, after = model.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    observation = sleep_batch_of(model, 3).observation
    assert same(read_scenes(model, observation), read_scenes(loaded, observation))


@torch.no_grad()
def test_shipped_weights_see_the_canvas_to_the_last_bit_as_when_they_were_trained():
    """What they were trained to see, written out: settings that came later change nothing."""
    model = load_model("table_top").module
    assert isinstance(model, Air3D)
    assert model.settings.state == "canvas"
    assert model.state_update is None
    batch = sleep_batch_of(model, 6)
    state = model.begin(batch.observation, PointEstimate()).state
    for _ in range(2):
        state = model.step(state, PointEstimate()).state
    (observation, maps, orbit), step_encoder = state[:3], model.step_encoder
    images, reconstruction = observation.rgb, state.reconstruction

    difference = images - reconstruction.rgb
    left = pixel_unshuffle(torch.cat([4.0 * difference, reconstruction.coverage], dim=1), 2)
    fine = relu(maps.fine + step_encoder.residual_encoder(left.contiguous(memory_format=torch.channels_last)))
    fine = fine + relu(step_encoder.fuse(fine))
    coarse = relu(step_encoder.eighth(fine))
    coarse = coarse + relu(step_encoder.widen(coarse))
    fine = relu(fine + interpolate(step_encoder.top(coarse), scale_factor=2.0, mode="nearest"))
    place = model.location_head(
        Maps(fine, coarse), torch.stack([orbit[:, 0].cos(), orbit[:, 0].sin()], dim=-1)
    )
    picture = torch.cat([4.0 * (images - 0.5), 4.0 * difference, reconstruction.coverage], dim=1)
    numbers = model.object_head(place, model.glimpse_encoder(picture, place.pixel))
    expected = object_posterior(numbers, state.camera, orbit[:, 0], model.space)

    predicted = model.look(state)
    parts = [(predicted.presence, expected.presence), (predicted.identity, expected.identity)]
    parts += [
        *zip(predicted.position, expected.position, strict=True),
        *zip(predicted.orientation, expected.orientation, strict=True),
    ]
    assert all(torch.equal(one, other) for one, other in parts)


def test_weights_trained_with_other_meshes_are_refused(model, tmp_path: Path, one_line_error):
    """Older models know their packs by a hash of the files alone."""
    document = ModelDocument(kind="air3d", settings=model.settings.model_dump(mode="json"))
    save_model(tmp_path / "model", model, document, "a card\n")
    file = tmp_path / "model" / "model.json"
    older = json.loads(file.read_text()) | {"objects": None}
    file.write_text(json.dumps(older | {"asset_pack_sha256": model.packs_hash}))
    load_model(tmp_path / "model")
    file.write_text(json.dumps(older | {"asset_pack_sha256": "0" * 64}))
    with one_line_error(ModelError, "asset packs of hash 000000000000, those here"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize("state", STATES)
def test_training_in_bfloat16_is_nearly_training_in_float32(family, state):
    fast, exact = (fresh_model(family, 1, precision=p, state=state) for p in ("bfloat16", "float32"))
    assert all(torch.equal(a, b) for a, b in zip(fast.parameters(), exact.parameters(), strict=True))
    batch = sleep_batch_of(exact, 24)

    def predicted(model):
        return log_posterior(model, batch.observation, batch.scenes, batch.prefixes, batch.seen_orbit).total

    with torch.no_grad():
        assert torch.equal(predicted(fast), predicted(exact))  # in evaluation both are exact
        rough, reference = predicted(fast.train()), predicted(exact.train())
    off = (rough - reference).abs()
    assert 0 < off.mean() < 0.03 * reference.abs().mean()
    assert off.max() < 0.2 * reference.abs().max()


def test_settings_that_make_no_network_are_refused():
    for wrong in (
        {"sigma": 0},
        {"channels": (1, 8, 8)},
        {"precision": "float16"},
        {"state": "drawn"},
        {"unknown": 1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            settings_of(table(), **wrong)


def test_scenes_that_are_read_are_where_the_network_was_given(model):
    """Inferred scenes lie in the scene space, whatever the network predicts."""
    reading = read_scenes(model, Observation(torch.rand(6, 3, 32, 32, generator=seeded(3))))
    assert (reading.scenes.position.abs() <= model.space.reach * (1 + 1e-6)).all()
    assert (reading.scenes.orbit >= model.space.orbit_low - 1e-6).all()
    assert (reading.scenes.orbit <= model.space.orbit_high + 1e-6).all()
    assert reading.scenes.rotation.isfinite().all()
    assert drawn(model.space, 2).asset.shape[1] == reading.scenes.asset.shape[1]
