"""The bound and its gradient against brute-force enumeration of every count and a grid of every latent."""

import itertools
import math

import numpy as np
import pytest
import torch
from toy_air import LOG_COUNT_PRIOR, PRIOR, FromNodes, ToyAir, log_likelihood

from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.elbo import exact_count_elbo, prefix_bounds, warmed_up_objective


def quadrature_of_bound(model, image, nodes=40):
    """E[exact_count_elbo] over the samples' noise, by Gauss–Hermite quadrature in two dimensions."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    total = torch.zeros((), dtype=torch.float64)
    for (e1, w1), (e2, w2) in itertools.product(zip(points, weights, strict=True), repeat=2):
        inference = attend_infer_repeat(model, image, FromNodes([e1, e2]))
        total = total + w1 * w2 / (2 * math.pi) * exact_count_elbo(inference, LOG_COUNT_PRIOR).elbo[0]
    return total


@torch.no_grad()
def enumerated_bound(model, image, cells=401, reach=9.0):
    """Σ_n ∫ q(n, z) [log p(x, z, n) − log q(n, z)] dz on a fixed grid: nothing shared with the estimator."""
    grid = torch.linspace(-reach, reach, cells, dtype=torch.float64)[:, None]
    cell = float(grid[1] - grid[0])
    images = image.expand(cells, -1, -1, -1)
    logit1, q1 = model.heads(image, torch.zeros(1, 1, dtype=torch.float64))
    log_q1, log_p1 = q1.log_prob(grid), PRIOR.log_prob(grid)
    logit2, q2 = model.heads(images, grid)
    present1, present2 = torch.sigmoid(logit1), torch.sigmoid(logit2)

    none = 1 - present1[0]
    total = none * (LOG_COUNT_PRIOR[0] + log_likelihood(image, model.draw([]))[0] - none.log())
    one = present1 * (1 - present2)
    log_joint = LOG_COUNT_PRIOR[1] + log_p1 + log_likelihood(images, model.draw([grid]))
    total = total + (cell * one * log_q1.exp() * (log_joint - one.log() - log_q1)).sum()
    two = present1 * present2
    for z2 in grid:
        second = z2.expand(cells, 1)
        log_q2, log_p2 = q2.log_prob(second), PRIOR.log_prob(second)
        likelihood = log_likelihood(images, model.draw([grid, second]))
        log_joint = LOG_COUNT_PRIOR[2] + log_p1 + log_p2 + likelihood
        weight = cell**2 * two * (log_q1 + log_q2).exp()
        total = total + (weight * (log_joint - two.log() - log_q1 - log_q2)).sum()
    return float(total - 0.1 * image.sum().abs())  # the toy's shared latent costs that


@pytest.fixture(params=[0, 1, 2])
def toy(request):
    generator = torch.Generator().manual_seed(100 + request.param)
    return ToyAir(request.param), torch.rand(1, 1, 1, 2, generator=generator, dtype=torch.float64)


def test_expected_bound_equals_enumeration(toy):
    model, image = toy
    assert quadrature_of_bound(model, image).item() == pytest.approx(enumerated_bound(model, image), abs=1e-6)


def test_expected_gradient_equals_finite_differences_of_enumeration(toy):
    model, image = toy
    (gradient,) = torch.autograd.grad(quadrature_of_bound(model, image), model.theta)
    step, reference = 1e-4, []
    for index in range(len(model.theta)):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                model.theta[index] += sign * step
            ends.append(enumerated_bound(model, image))
            with torch.no_grad():
                model.theta[index] -= sign * step
        reference.append((ends[0] - ends[1]) / (2 * step))
    assert gradient.tolist() == pytest.approx(reference, abs=2e-6)


def test_detaching_the_sample_would_be_noticed(toy):
    """Negative control: without the path from z_1 to later steps, the gradient is another one."""
    model, image = toy
    whole = torch.autograd.grad(quadrature_of_bound(model, image, nodes=8), model.theta)[0]
    step = model.step
    model.step = lambda state, sampler: step((state[0], state[1].detach()), sampler)
    cut = torch.autograd.grad(quadrature_of_bound(model, image, nodes=8), model.theta)[0]
    assert (whole - cut).abs().max() > 1e-3


def toy_inference(trial):
    model = ToyAir(trial)
    image = torch.rand(4, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(trial))
    return model, attend_infer_repeat(model, image, FromNodes([0.3, -1.1]))


@pytest.mark.parametrize("trial", range(3))
def test_fully_trusted_surrogate_has_the_gradient_of_the_bound(trial):
    model, inference = toy_inference(trial)
    bound = exact_count_elbo(inference, LOG_COUNT_PRIOR).elbo.sum()
    surrogate = warmed_up_objective(inference, LOG_COUNT_PRIOR, warm_up_fraction=1.0).sum()
    expected = torch.autograd.grad(bound, model.theta, retain_graph=True)[0]
    assert torch.allclose(torch.autograd.grad(surrogate, model.theta)[0], expected, atol=1e-12)


def test_untrusted_surrogate_trains_objects_by_every_prefix_alike():
    _, inference = toy_inference(0)
    bounds = prefix_bounds(inference)
    surrogate = warmed_up_objective(inference, LOG_COUNT_PRIOR, warm_up_fraction=0.0).sum()
    (weights,) = torch.autograd.grad(surrogate, inference.log_likelihood, retain_graph=True)
    assert torch.allclose(weights, torch.full_like(bounds, 1 / 3))


@pytest.mark.parametrize("warm_up_fraction", [0.0, 0.3, 1.0])
def test_with_a_longest_prefix_objects_learn_from_no_longer_ones_and_presence_as_before(warm_up_fraction):
    _, inference = toy_inference(0)
    count = inference.log_count.exp().detach()
    surrogates = [
        warmed_up_objective(inference, LOG_COUNT_PRIOR, warm_up_fraction, longest=longest).sum()
        for longest in (None, 1)
    ]
    of = inference.log_likelihood, inference.log_count
    (_, before), (weights, after) = (
        torch.autograd.grad(surrogate, of, retain_graph=True) for surrogate in surrogates
    )
    believed = torch.stack([count[:, 0], count[:, 1] + count[:, 2], 0 * count[:, 2]], -1)
    alike = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(weights, (1 - warm_up_fraction) * alike + warm_up_fraction * believed)
    torch.testing.assert_close(after, before)


def test_the_bound_is_the_sum_of_its_parts():
    _, inference = toy_inference(1)
    bound = exact_count_elbo(inference, LOG_COUNT_PRIOR)
    parts = bound.log_likelihood - bound.kl_objects - bound.kl_count - bound.kl_shared
    assert torch.allclose(bound.elbo, parts)
    assert (bound.kl_shared > 0).all()
    count = inference.log_count.exp()
    direct = (count * (prefix_bounds(inference) + LOG_COUNT_PRIOR - inference.log_count)).sum(-1)
    assert torch.allclose(bound.elbo, direct)
