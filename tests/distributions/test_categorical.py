"""Categorical distributions: against torch.distributions and by its frequencies."""

import math

import pytest
import torch
from torch.distributions import Categorical as Reference

from inverse_graphics.distributions.discrete import Categorical
from inverse_graphics.distributions.sampler import (
    DefensiveMixture,
    DefensiveSampler,
    PointEstimate,
    Reparameterised,
    log_prob_mixture,
)

SHAPES = [(), (1,), (7,), (3, 4)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some(*batch, kinds=5, seed=0):
    return Categorical(torch.log_softmax(2 * torch.randn(*batch, kinds, generator=seeded(seed)), -1))


@pytest.mark.parametrize("batch", SHAPES)
def test_log_probabilities_and_the_most_probable_kind(batch):
    q = some(*batch)
    value = torch.randint(5, batch, generator=seeded(1))
    torch.testing.assert_close(q.log_prob(value), Reference(logits=q.log_probs).log_prob(value))
    every = torch.stack([q.log_prob(torch.full(batch, kind)) for kind in range(5)])
    torch.testing.assert_close(every.exp().sum(0), torch.ones(batch))
    assert torch.equal(q.log_prob(q.centre()), every.amax(0))
    assert torch.equal(PointEstimate()(q), q.centre())


@pytest.mark.parametrize("batch", SHAPES)
def test_draws_have_the_shape_of_the_batch_and_are_the_generators(batch):
    q = some(*batch)
    for draw in (q.sample, q.sample_uniform):
        value = draw(seeded(2))
        assert value.shape == batch
        assert value.dtype == torch.int64
        assert torch.equal(value, draw(seeded(2)))


def frequencies(values, kinds=5):
    return torch.bincount(values, minlength=kinds) / len(values)


def test_draws_are_as_frequent_as_stated():
    count = 40_000
    q = Categorical(some().log_probs.expand(count, -1))
    error = 4 * math.sqrt(0.25 / count)
    probabilities = some().log_probs.exp()
    assert (frequencies(Reparameterised(seeded(3))(q)) - probabilities).abs().max() < error
    assert (frequencies(q.sample_uniform(seeded(3))) - 0.2).abs().max() < error
    assert (probabilities - 0.2).abs().max() > 4 * error


@pytest.mark.parametrize(
    "mixture",
    [
        DefensiveMixture(0.3, 0.9),
        DefensiveMixture(0.9, 0.3),
        DefensiveMixture(1.0),
        DefensiveMixture(rest=1.0),
    ],
)
def test_defended_draws_are_as_frequent_as_stated(mixture):
    """By the share of kinds, whatever that of the rest is."""
    count = 40_000
    q = Categorical(some().log_probs.expand(count, -1))
    drawn = frequencies(DefensiveSampler(seeded(4), mixture)(q))
    stated = log_prob_mixture(Categorical(q.log_probs[:5]), torch.arange(5), mixture).exp()
    torch.testing.assert_close(stated.sum(), torch.ones(()))
    assert (drawn - stated).abs().max() < 4 * math.sqrt(0.25 / count)


def test_the_uniform_distribution_over_kinds():
    q = some(4, kinds=7)
    torch.testing.assert_close(q.log_uniform(), torch.tensor(-math.log(7)))


def test_draws_carry_no_gradient_and_densities_do():
    log_probs = some(6).log_probs.requires_grad_()
    q = Categorical(log_probs)
    drawn = q.sample(seeded(5))
    assert not drawn.requires_grad
    (slope,) = torch.autograd.grad(q.log_prob(drawn).sum(), log_probs)
    assert torch.equal(slope, torch.nn.functional.one_hot(drawn, 5).float())
