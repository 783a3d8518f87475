"""Every image has its own intrinsics: what is rendered and inferred with them.

A network of one field of view whose images bring another's K must do what a network with the same weights
does whose family has that field of view. Without K it must not.
"""

import pytest
import torch
from small_air3d import (
    BEFORE_IT,
    STATES,
    drawn,
    fresh_model,
    loud_model,
    noisy,
    same,
    seeded,
    space_of,
    table,
)

from inverse_graphics.distributions.sampler import DefensiveMixture
from inverse_graphics.models.air3d.elbo import ElboObjective, ElboSettings
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.posterior import ObjectParameters, object_posterior
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.scene_latents import draw_prefixes, draw_scenes
from inverse_graphics.models.air3d.search import Search, refine, search_scenes
from inverse_graphics.models.air3d.wake_sleep import wake_loss
from inverse_graphics.observation.observation import Observation
from inverse_graphics.optimisation.search import SceneSearch
from inverse_graphics.optimisation.settings import FROM_PRIOR
from inverse_graphics.scene.camera_batch import project

ANGLES = (30.0, 34.0, 38.0, 45.0)
"""Fields of view, degrees; that of the network's family is the second."""


def of_angle(degrees, known=False, **settings):
    camera = {"field_of_view_degrees": degrees}
    return table(BEFORE_IT | camera, **settings) if known else table(**camera, **settings)


def mixed(model, seed=0):
    """Scenes of which every one is seen through another lens, and images of them."""
    scenes = drawn(model.space, len(ANGLES), seed)
    K = torch.stack([space_of(of_angle(degrees)).K for degrees in ANGLES])
    scenes = scenes.replace(K=K)
    return scenes, noisy(model, scenes)


@pytest.fixture(params=[False, True], ids=["free camera", "known camera"])
def known(request):
    return request.param


@pytest.fixture(params=STATES)
def models(request, known):
    """Networks of the same weights, each for another field of view."""
    networks = [  # unnormalised, such loud ones place objects on the table
        loud_model(of_angle(degrees, known), 1, state=request.param, normalise_maps=False)
        for degrees in ANGLES
    ]
    assert all(
        torch.equal(one, other)
        for network in networks
        for one, other in zip(network.parameters(), networks[0].parameters(), strict=True)
    )
    return networks


def near(one, other):
    for name, part in vars(one).items():
        torch.testing.assert_close(part, getattr(other, name), rtol=1e-4, atol=1e-4)


def test_each_scene_is_rendered_through_its_own_lens(models):
    model = models[1]
    scenes, _ = mixed(model)
    renders = draw_scenes(scenes, model.space, model.engine).rgb
    prefixes = draw_prefixes(scenes, model.space, model.engine).renders.rgb[:, -1]
    torch.testing.assert_close(prefixes, renders, rtol=0, atol=1e-6)
    for row, own in enumerate(models):
        alone = scenes[row : row + 1].replace(K=own.space.K[None])
        expected = draw_scenes(alone, own.space, own.engine).rgb
        torch.testing.assert_close(renders[row : row + 1], expected, rtol=0, atol=1e-6)
    through_one = draw_scenes(scenes.replace(K=model.space.K.expand(4, 3, 3)), model.space, model.engine).rgb
    apart = (renders - through_one).abs().amax((1, 2, 3))
    assert (apart > 0.1).tolist() == [True, False, True, True]


@torch.no_grad()
@pytest.mark.parametrize("state", STATES)
def test_each_image_is_read_through_its_own_lens(state, known):
    """Networks for one object begin by placing it in the middle, where the table's edge does not hold it."""
    models = [fresh_model(of_angle(degrees, known, counts=(1, 1)), 1, state=state) for degrees in ANGLES]
    model = models[1]
    _, images = mixed(model)
    assert images.K is not None
    reading = read_scenes(model, images)
    assert torch.equal(reading.scenes.K, images.K)
    for row, own in enumerate(models):
        near(reading[row : row + 1].scenes, read_scenes(own, Observation(images.rgb[row : row + 1])).scenes)
    without = read_scenes(model, Observation(images.rgb))
    moved = (without.scenes.position - reading.scenes.position).abs().amax((1, 2))
    assert (moved > 1e-4).tolist() == [True, False, True, True]


@torch.no_grad()
def test_an_object_found_in_a_pixel_lies_on_the_ray_of_its_lens(known):
    """One pixel through several lenses is another place each time, and that place is seen in this pixel."""
    space = space_of(of_angle(ANGLES[1], known))
    K = torch.stack([space_of(of_angle(degrees)).K for degrees in ANGLES])
    orbit = drawn(space, 1).orbit.expand(4, 3)
    camera = space.cameras(orbit, K)
    pixel = torch.tensor([[19.0, 14.0]]).expand(4, 2)
    nothing = torch.zeros(4, 3)
    found = ObjectParameters(pixel, nothing[:, 0], nothing, nothing[:, :2], torch.zeros(4, 3))
    mean = object_posterior(found, camera, orbit[:, 0], space).position.mean
    assert (mean.abs() < space.reach).all()
    assert len(mean.unique(dim=0)) == 4
    torch.testing.assert_close(project(space.world(mean[:, None]), camera)[0][:, 0], pixel)


@torch.no_grad()
def test_the_posteriors_density_is_that_through_each_lens(models):
    model = models[1]
    scenes, images = mixed(model, 2)
    prefixes = draw_prefixes(scenes, model.space, model.engine)
    prefixes = prefixes.replace(renders=prefixes.renders[:, :-1])
    total = log_posterior(model, images, scenes, prefixes).total
    for row, own in enumerate(models):
        one = slice(row, row + 1)
        alone = log_posterior(own, Observation(images.rgb[one]), scenes[one], prefixes[one]).total
        torch.testing.assert_close(total[one], alone, rtol=1e-4, atol=1e-3)
    through_one = prefixes.replace(scenes=scenes.replace(K=model.space.K.expand(4, 3, 3)))
    other = log_posterior(model, images, through_one.scenes, through_one).total
    assert ((other - total).abs() > 1e-3).tolist() == [True, False, True, True]


@torch.no_grad()
def test_proposals_and_their_weights_are_those_through_the_images_lens(models):
    model, own = models[1], models[3]
    images = noisy(own, drawn(own.space, 3, 5))
    bare, wide = Observation(images.rgb), DefensiveMixture(0.5, 0.5)
    proposals = propose(model, images, 6, seeded(1), wide)
    expected = propose(own, bare, 6, seeded(1), wide)
    near(proposals.scenes, expected.scenes)
    torch.testing.assert_close(proposals.log_weights(), expected.log_weights(), rtol=1e-4, atol=1e-2)
    without = propose(model, bare, 6, seeded(1), wide)
    assert (without.log_weights() - expected.log_weights()).abs().max() > 1


def test_scenes_are_refined_through_each_lens(models):
    model = models[1]
    scenes, images = mixed(model, 4)
    off = scenes.replace(position=scenes.position + 0.004)
    result = refine(off, images, model, 4)
    assert torch.equal(result.K, scenes.K)
    for row, own in enumerate(models):
        one = slice(row, row + 1)
        near(result[one], refine(off[one], Observation(images.rgb[one]), own, 4))
    assert not same(result, off)


def test_a_search_of_the_training_is_through_the_images_lens(models):
    model, own = models[1], models[3]
    images = noisy(own, drawn(own.space, 3, 6))
    search = Search(4, 2, 2, orientation_steps=1)
    found = search_scenes(model, images, search, 2.0, seeded(1))
    near(found, search_scenes(own, Observation(images.rgb), search, 2.0, seeded(1)))


@pytest.mark.parametrize("samples", [1, 2])
def test_objectives_learn_through_the_images_lens(models, samples):
    """The bound with its wake update, replay included, and the wake phase of wake-sleep."""
    settings = ElboSettings.model_validate(
        {"bound_samples": samples, "samples": 3, "replay_ratio": 1, "replay_capacity": 8}
    )
    losses, wakes = [], []
    for network in (models[1], models[3]):
        objective = ElboObjective(models[3], settings)
        images = objective.batch(4, seeded(1))
        assert images.K is not None
        assert torch.equal(images.K, models[3].space.K.expand(4, 3, 3))
        losses.append(ElboObjective(network, settings).loss(images, 2000, seeded(2))[0])
        wakes.append(wake_loss(network, images, 3, 1.0, seeded(3))[0])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(wakes[0], wakes[1], rtol=1e-4, atol=1e-3)


def test_the_search_from_the_prior_is_through_each_images_lens(known):
    spaces = [space_of(of_angle(degrees, known)) for degrees in ANGLES[1:3]]
    model = loud_model(of_angle(ANGLES[1], known))
    searches = [SceneSearch(space, model.engine, model.observation_model) for space in spaces]
    images = noisy(model, drawn(spaces[1], 2, 7))
    brief = FROM_PRIOR.model_copy(
        update={"restarts": 2, "candidates": 2, "steps": 4, "rounds": 2, "exchanges": 2, "orientations": 1}
    )
    found = searches[0].from_prior(images, seeded(1), brief).best
    expected = searches[1].from_prior(Observation(images.rgb), seeded(1), brief).best
    near(found.scenes, expected.scenes)
    torch.testing.assert_close(found.log_joint, expected.log_joint, rtol=1e-4, atol=1e-2)
    assert torch.equal(found.scenes.K, spaces[1].K.expand(2, 3, 3))
