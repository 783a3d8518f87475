"""Closed forms against torch.distributions and against sampling."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.distributions.normal import Gaussian
from inverse_graphics.distributions.sampler import PointEstimate, Reparameterised


def random_gaussian(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(*shape, generator=generator, dtype=torch.float64)
    return Gaussian(mean, torch.rand(*shape, generator=generator, dtype=torch.float64) + 0.1)


@pytest.mark.parametrize("shape", [(1,), (4, 3), (2, 5, 7)])
def test_divergence_and_density_equal_the_reference(shape):
    q, p = random_gaussian(0, *shape), random_gaussian(1, *shape)
    value = torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.allclose(q.kl_to(p), kl_divergence(Normal(*q), Normal(*p)).sum(-1))
    assert torch.allclose(q.log_prob(value), Normal(*q).log_prob(value).sum(-1))


def test_divergence_is_zero_only_from_itself():
    q = random_gaussian(3, 6, 4)
    assert torch.allclose(q.kl_to(q), torch.zeros(6, dtype=torch.float64))
    assert (q.kl_to(Gaussian(q.mean + 0.1, q.std)) > 0).all()


def test_draws_have_the_mean_and_spread_and_carry_gradient():
    mean = torch.tensor([1.0, -2.0], requires_grad=True)
    std = torch.tensor([0.5, 2.0], requires_grad=True)
    draws = Reparameterised(torch.Generator().manual_seed(0))(
        Gaussian(mean.expand(100_000, 2), std.expand(100_000, 2))
    )
    assert torch.allclose(draws.mean(0), mean, atol=0.04)
    assert torch.allclose(draws.std(0), std, rtol=0.02)
    draws.mean().backward()
    assert mean.grad is not None
    assert torch.allclose(mean.grad, torch.tensor([0.5, 0.5]))
    assert (PointEstimate()(Gaussian(mean, std)) == mean).all()


@pytest.mark.parametrize("log_odds", [0.0, -11.5, 2.0])
def test_count_prior_sums_to_one_with_equal_ratios(log_odds):
    log_p = truncated_geometric(log_odds, 4)
    assert log_p.exp().sum() == pytest.approx(1.0, abs=1e-6)
    assert log_p.diff().tolist() == pytest.approx([log_odds] * 4, abs=1e-5)
