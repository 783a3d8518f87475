"""Von Mises mixtures against scipy, quadrature, sampling and finite differences."""

import math

import pytest
import scipy.stats
import torch
from torch.autograd import gradcheck

from inverse_graphics.distributions.von_mises import VonMisesMixture, von_mises_quantile

KAPPAS = [1e-3, 0.1, 1.0, 5.0, 20.0, 20.5, 300.0, 1e4]
CIRCLE = torch.linspace(-math.pi, math.pi, 20_001, dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(*batch, components=3, seed=0, dtype=torch.float64):
    generator = seeded(seed)
    shape = (*batch, components)
    logits = torch.randn(shape, generator=generator, dtype=dtype)
    location = 6 * torch.randn(shape, generator=generator, dtype=dtype)
    return VonMisesMixture(
        logits, location, 10 ** (3 * torch.rand(shape, generator=generator, dtype=dtype) - 1)
    )


def single(kappa, *batch, location=0.0, dtype=torch.float64):
    full = [torch.full((*batch, 1), value, dtype=dtype) for value in (0.0, location, kappa)]
    return VonMisesMixture(*full)


@pytest.mark.parametrize("kappa", KAPPAS)
def test_density_equals_the_reference_in_both_precisions(kappa):
    angle = torch.linspace(-9, 9, 101, dtype=torch.float64)
    expected = torch.from_numpy(scipy.stats.vonmises.logpdf(angle.numpy(), kappa, loc=0.4))
    torch.testing.assert_close(single(kappa, location=0.4).log_prob(angle), expected, rtol=1e-9, atol=1e-9)
    by_float = single(kappa, location=0.4, dtype=torch.float32).log_prob(angle.float())
    torch.testing.assert_close(by_float.double(), expected, rtol=1e-5, atol=1e-3)


def test_mixtures_integrate_to_one_and_weigh_their_components():
    q = mixture(7)
    log_q = VonMisesMixture(*(part[:, None] for part in q)).log_prob(CIRCLE)
    torch.testing.assert_close(torch.trapezoid(log_q.exp(), CIRCLE), torch.ones(7, dtype=torch.float64))
    angle = torch.linspace(-3, 3, 7, dtype=torch.float64)
    parts = q.log_prob_of_components(angle)
    assert parts.shape == (7, 3)
    torch.testing.assert_close(q.log_prob(angle).exp(), (torch.softmax(q.logits, -1) * parts.exp()).sum(-1))


@pytest.mark.parametrize("kappa", KAPPAS)
def test_the_quantile_inverts_the_distribution_function(kappa):
    u = torch.cat([torch.linspace(1e-6, 1 - 1e-6, 999), torch.tensor([0.0, 0.5, 1.0])]).double()
    angle = von_mises_quantile(u, torch.full_like(u, kappa))
    assert (angle.abs() <= math.pi).all()
    back = torch.from_numpy(scipy.stats.vonmises.cdf(angle.numpy(), kappa))
    # above κ = 50 scipy's distribution function is an approximation
    torch.testing.assert_close(back, u, rtol=0, atol=1e-11 if kappa <= 50 else 2e-6)
    assert (angle[:-3].diff() > 0).all()
    assert angle[-2] == 0


@pytest.mark.parametrize("kappa", KAPPAS)
def test_the_quantile_equals_fine_quadrature(kappa):
    reach = 2 * math.asin(min(1.0, 4 / math.sqrt(kappa)))
    t = torch.linspace(-reach, reach, 400_001, dtype=torch.float64)
    density = torch.exp(-2 * kappa * torch.sin(t / 2) ** 2)
    below = torch.cumulative_trapezoid(density, t) / torch.trapezoid(density, t)
    every = slice(10_000, -10_000, 997)
    angle = von_mises_quantile(below[every], torch.full_like(below[every], kappa))
    deep = (below[every] > 1e-6) & (below[every] < 1 - 1e-6)
    error = (angle - t[1:][every])[deep] * max(1.0, math.sqrt(kappa))
    assert error.abs().max() < 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", KAPPAS)
def test_draws_follow_the_distribution(kappa, dtype):
    draws = single(kappa, 20_000, dtype=dtype).sample_components(seeded())[:, 0]
    assert draws.dtype == dtype
    assert (draws.abs() <= math.pi + 1e-6).all()
    draws = draws.double().numpy()
    assert scipy.stats.kstest(draws, scipy.stats.vonmises(kappa).cdf).pvalue > 1e-3
    wrong = scipy.stats.vonmises(1.5 * kappa + 0.5)
    assert scipy.stats.kstest(draws, wrong.cdf).pvalue < 1e-3


def test_draws_of_a_mixture_have_its_trigonometric_moments():
    q = mixture(seed=3)
    draws = VonMisesMixture(*(part.expand(60_000, -1) for part in q)).sample(seeded(1))
    density = VonMisesMixture(*(part[None] for part in q)).log_prob(CIRCLE).exp()
    for order in (1, 2, 3):
        for wave in (torch.cos, torch.sin):
            expected = torch.trapezoid(wave(order * CIRCLE) * density, CIRCLE)
            assert wave(order * draws).mean().item() == pytest.approx(expected.item(), abs=0.01)


def test_gradients_equal_finite_differences():
    q = mixture(5, seed=4)
    given = tuple(part.detach().requires_grad_() for part in q)
    angle = torch.linspace(-3, 3, 5, dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda a, *p: VonMisesMixture(*p).log_prob(a), (angle, *given), atol=1e-5)
    assert gradcheck(
        lambda *p: VonMisesMixture(q.logits, *p).sample_components(seeded(5)), given[1:], eps=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("kappa", KAPPAS)
def test_gradient_in_the_concentration_equals_a_relative_finite_difference(kappa):
    u = torch.linspace(0.001, 0.999, 60, dtype=torch.float64)
    kappas = torch.full_like(u, kappa).requires_grad_()
    (slope,) = torch.autograd.grad(von_mises_quantile(u, kappas).sum(), kappas)
    step = 1e-4 * kappa
    higher, lower = (von_mises_quantile(u, torch.full_like(u, kappa + s)) for s in (step, -step))
    expected = (higher - lower) / (2 * step)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    halved = torch.full_like(u, kappa).float().requires_grad_()
    (rough,) = torch.autograd.grad(von_mises_quantile(u, halved).sum(), halved)
    torch.testing.assert_close(rough.double(), slope, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


def test_both_divergence_estimates_have_the_divergence_as_their_mean():
    q = mixture(seed=6)
    log_q = VonMisesMixture(*(part[None] for part in q)).log_prob(CIRCLE)
    expected = torch.trapezoid(log_q.exp() * (log_q + math.log(2 * math.pi)), CIRCLE).item()
    many = VonMisesMixture(*(part.expand(40_000, -1) for part in q))
    assert many.kl_to_uniform(many.sample(seeded())).mean().item() == pytest.approx(expected, abs=0.02)
    enumerated = many.enumerated_kl_to_uniform(many.sample_components(seeded()))
    assert enumerated.mean().item() == pytest.approx(expected, abs=0.02)


def test_the_gradient_of_the_enumerated_divergence_is_that_of_the_divergence():
    parts = tuple(part.requires_grad_() for part in mixture(seed=7))
    log_q = VonMisesMixture(*(part[None] for part in parts)).log_prob(CIRCLE)
    exact = torch.autograd.grad(torch.trapezoid(log_q.exp() * log_q, CIRCLE), parts)
    many = VonMisesMixture(*(part.expand(60_000, -1) for part in parts))
    estimate = many.enumerated_kl_to_uniform(many.sample_components(seeded())).mean()
    for sampled, wanted in zip(torch.autograd.grad(estimate, parts), exact, strict=True):
        torch.testing.assert_close(sampled, wanted, rtol=0.03, atol=0.02)


def test_the_mode_is_where_the_mixture_is_densest_of_its_locations():
    logits = torch.tensor([[0.0, 0.5, 0.0], [0.0, 3.0, 0.0]])
    location = torch.tensor([0.3, 2.0, 2.1]).expand(2, 3)
    q = VonMisesMixture(logits, location, torch.tensor([50.0, 0.5, 40.0]).expand(2, 3))
    assert q.centre().tolist() == pytest.approx([0.3, 2.1])
