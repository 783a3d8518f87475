"""Importance weights against the evidence itself, by quadrature and by scenes drawn from the prior."""

import math

import pytest
import torch
from small_air3d import (
    ANYWHERE,
    BEFORE_IT,
    FAMILIES,
    SINGLE,
    STATES,
    drawn,
    fresh_model,
    loud_model,
    rendered,
    seeded,
    table,
)

from inverse_graphics.distributions.sampler import DefensiveMixture
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.proposals import Proposals, propose
from inverse_graphics.models.air3d.scene_latents import draw_prefixes

NOISE = 0.5
"""So much that samples of a fresh network's broad posterior find every scene that matters."""


def blurred_model(family, noise=NOISE):
    """A fresh network that believes little, of little images, and places objects about the middle."""
    model = fresh_model(family | {"image_size": 16}, sigma=noise, normalise_maps=False)
    with torch.no_grad():
        predicted = next(
            m for name, m in model.named_modules() if name.endswith("output") and name != "view.output"
        )
        predicted.bias[1 + len(model.space.orientation_observable) :][:2] = 1.2  # wide places
    return model


def image_of(model, scenes, count=1):
    return model.observation_model.sample(rendered(model, scenes)[:count], seeded(1))


def log_likelihoods(model, image, scenes):
    """Of one image given whole scenes: (B,)."""
    renders = (rendered(model, block) for block in scenes.split(2000))
    return torch.cat([model.observation_model.log_prob(image, render) for render in renders])


def mean_and_error(log_terms, centre):
    """Of exp(log_terms − centre)."""
    terms = (log_terms - centre).exp()
    return float(terms.mean()), float(terms.std()) / math.sqrt(len(terms))


@pytest.mark.parametrize(("training", "mixture"), [(True, 0.0), (True, 0.4), (False, 0.4)])
def test_the_evidence_is_that_of_a_quadrature(training, mixture):
    """A glass or none on a known table: what p(x) integrates over is two numbers.

    In training, a fresh network places it about the middle, from where its broad posterior reaches all of
    the table; in evaluation, where one cell votes for, and only a mixture reaches the far side.
    """
    model = blurred_model(table(BEFORE_IT, kinds=("glass",), counts=(1, 2))).train(training)
    space = model.space
    image = image_of(model, drawn(space, 1, seed=3))
    x, y = (reach * ((torch.arange(40) + 0.5) / 20 - 1) for reach in space.reach)
    place = torch.cartesian_prod(x, y)[:, None]
    count = len(place)
    grid = SceneLatents(
        space.orbit_low.expand(count, 3),
        torch.zeros(count, 1, dtype=torch.int64),
        place,
        torch.zeros(count, 1),
        space.K.expand(count, 3, 3),
    )
    with_one = log_likelihoods(model, image, grid)
    nothing = draw_prefixes(grid, space, model.engine).renders[:1, 0]
    without = model.observation_model.log_prob(image, nothing)
    centre = float(with_one.max())
    exact = float((without - centre).exp() / 3 + 2 / 3 * (with_one - centre).exp().mean())

    proposals = propose(model, image, 4000, seeded(4), DefensiveMixture(mixture, mixture))
    weights = proposals.log_weights()[:, 0].logsumexp(-1)
    mean, error = mean_and_error(weights, centre)
    assert error < 0.1 * exact
    assert abs(mean - exact) < 4 * error
    without_identity = float((without - centre).exp() / 3)
    assert abs(mean - without_identity) > 4 * error  # the glass matters


@pytest.mark.parametrize("mixture", [DefensiveMixture(0.25, 0.25), DefensiveMixture(1.0, 0.5)], ids=str)
@pytest.mark.parametrize(
    "family",
    [table(ANYWHERE, kinds=("mug", "plate"), counts=(1, 1)), SINGLE],
    ids=["free camera", "floating"],
)
def test_the_evidence_is_the_mean_likelihood_of_scenes_of_the_prior(family, mixture):
    """With kinds that have a visible turn and kinds that have not, and a camera to be found."""
    model = blurred_model(family, 2.0)
    image = image_of(model, drawn(model.space, 1, seed=5))
    prior = log_likelihoods(model, image, drawn(model.space, 10_000, seed=6))
    centre = float(prior.max())
    expected, its_error = mean_and_error(prior, centre)
    weights = propose(model, image, 6000, seeded(7), mixture).log_weights()[:, 0].logsumexp(-1)
    mean, error = mean_and_error(weights, centre)
    assert math.hypot(error, its_error) < 0.1 * expected
    assert abs(mean - expected) < 4 * math.hypot(error, its_error)


def test_of_two_objects_the_evidence_is_short_by_how_often_two_fit():
    """As the prior's density is: its normaliser is not made up for."""
    crowded = table(BEFORE_IT, kinds=("bowl",), counts=(0, 0, 1), reach_m=(0.12, 0.12))
    model = blurred_model(crowded)
    family = model.space.family
    image = image_of(model, drawn(model.space, 1, seed=8))
    prior = log_likelihoods(model, image, drawn(model.space, 12_000, seed=9))
    centre = float(prior.max())
    expected, its_error = mean_and_error(prior, centre)
    rate = family.acceptance_rate(20_000, seeded(10))
    assert 0.2 < rate < 0.6
    weights = propose(model, image, 5000, seeded(11), DefensiveMixture(0.5, 0.5)).log_weights()[:, 0, 2]
    mean, error = mean_and_error(weights, centre)
    tolerance = 4 * math.hypot(error, its_error)
    assert abs(mean - rate * expected) < tolerance
    assert abs(mean - expected) > tolerance


@torch.no_grad()
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_proposals_say_of_each_prefix_what_is_predicted_of_a_scene(family, state):
    """Image b's s-th scene, cut off after n objects, has the densities that it has elsewhere."""
    model = loud_model(family, state=state)
    space, samples = model.space, 3
    images = image_of(model, drawn(space, 4), 4)
    proposals = propose(model, images, samples, seeded(1))
    prefixes = draw_prefixes(proposals.scenes, space, model.engine)
    repeated, slots = images.repeat(samples), torch.arange(space.family.max_objects)
    log_likelihood = model.observation_model.log_prob(repeated[:, None], prefixes.renders)
    log_joint = log_likelihood + space.family.log_prob(proposals.scenes)
    torch.testing.assert_close(proposals.log_joint.flatten(0, 1), log_joint, rtol=1e-5, atol=1e-2)
    for count in range(len(slots) + 1):
        first = proposals.scenes.replace(asset=proposals.scenes.asset.where(slots < count, -1))
        predicted = log_posterior(model, repeated, first, prefixes)
        posterior, proposal = proposals.log_posterior[..., count], proposals.log_proposal[..., count]
        torch.testing.assert_close(posterior.flatten(), predicted.total, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(
            proposal.flatten(), predicted.camera + predicted.objects, rtol=1e-4, atol=1e-3
        )


def made_up(samples, batch, counts, seed=0):
    """Proposals of nothing in particular, whose sample's number stands in their place."""
    log_joint, log_proposal, log_posterior = torch.randn(3, samples, 1, counts, generator=seeded(seed))
    number = torch.arange(samples).repeat_interleave(batch).float()
    slots = counts - 1
    scenes = SceneLatents(
        torch.zeros(samples * batch, 3),
        torch.zeros(samples * batch, slots, dtype=torch.int64),
        number[:, None, None].repeat(1, slots, 2),
        torch.arange(batch).repeat(samples)[:, None].repeat(1, slots).float(),
        torch.eye(3).expand(samples * batch, 3, 3),
    )
    parts = (part.expand(-1, batch, -1) for part in (3 * log_joint, log_proposal, log_posterior))
    return Proposals(scenes, *parts)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_scenes_are_resampled_by_their_weight(temperature):
    samples, batch, counts = 4, 20_000, 3
    proposals = made_up(samples, batch, counts)
    chosen = proposals.resample(seeded(1), temperature)
    assert torch.equal(chosen.orientation[:, 0], torch.arange(batch).float())  # each from its own image
    which = chosen.position[:, 0, 0].long() * counts + chosen.counts
    frequency = torch.bincount(which, minlength=samples * counts) / batch
    q, p, r = (x[:, 0] for x in (proposals.log_posterior, proposals.log_joint, proposals.log_proposal))
    weight = (q * (1 - 1 / temperature) + p / temperature - r).exp().flatten()
    expected = weight / weight.sum()
    assert (frequency - expected).abs().max() < 4 * math.sqrt(0.25 / batch)
    other = (p / 2.5 - r).exp().flatten()
    assert (frequency - other / other.sum()).abs().max() > 4 * math.sqrt(0.25 / batch)


def test_the_evidence_of_one_sample_is_its_weight_summed_over_counts():
    proposals = made_up(5, 2, 3)
    weights = (proposals.log_joint - proposals.log_proposal).exp()
    torch.testing.assert_close(proposals.log_evidence().exp(), weights.sum(-1).mean(0))
