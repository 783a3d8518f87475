"""Truncated normals against scipy, against sampling, and against their own finite differences."""

import pytest
import scipy.stats
import torch
from torch.autograd import gradcheck

from inverse_graphics.distributions.normal import TruncatedNormal

LOW, HIGH = -0.3, 0.7
MEANS = [LOW, -0.299, 0.1, 0.45, HIGH]
STDS = [1e-3, 0.03, 0.4, 2.0, 100.0]
CASES = [(mean, std) for mean in MEANS for std in STDS]


def truncated(mean, std, *shape, dtype=torch.float64):
    """The same distribution in every component of a batch."""
    full = [torch.full((*shape, 1), value, dtype=dtype) for value in (mean, std, LOW, HIGH)]
    return TruncatedNormal(*full)


def reference(mean, std):
    return scipy.stats.truncnorm((LOW - mean) / std, (HIGH - mean) / std, mean, std)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("mean", "std"), CASES)
def test_density_and_entropy_equal_the_reference(mean, std):
    expected = reference(mean, std)
    x = torch.linspace(LOW, HIGH, 41, dtype=torch.float64)
    near = (x - mean).abs() < 30 * std  # further out scipy's tail is the less exact of the two
    density = truncated(mean, std).log_prob(x[near, None])
    torch.testing.assert_close(density, torch.from_numpy(expected.logpdf(x[near])), rtol=1e-9, atol=1e-9)
    assert truncated(mean, std).entropy().item() == pytest.approx(expected.entropy(), abs=1e-7)


@pytest.mark.parametrize(("mean", "std"), CASES)
def test_density_integrates_to_one_and_its_divergence_is_the_integral(mean, std):
    start, end = max(LOW, mean - 12 * std), min(HIGH, mean + 12 * std)
    x = torch.linspace(start, end, 100_001, dtype=torch.float64)
    log_q = truncated(mean, std).log_prob(x[:, None])
    assert torch.trapezoid(log_q.exp(), x).item() == pytest.approx(1, abs=1e-7)
    divergence = torch.trapezoid(log_q.exp() * log_q, x).item()  # from the uniform of density 1
    assert truncated(mean, std).kl_to_uniform().item() == pytest.approx(divergence, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("mean", "std"), CASES)
def test_draws_are_inside_and_follow_the_distribution_function(mean, std, dtype):
    draws = truncated(mean, std, 20_000, dtype=dtype).sample(seeded())[:, 0]
    low, high = torch.tensor([LOW, HIGH], dtype=dtype)
    assert ((low < draws) & (draws < high)).all()
    assert scipy.stats.kstest(draws.double().numpy(), reference(mean, std).cdf).pvalue > 1e-3
    wrong = reference(mean, 1.3 * std) if std < 1 else reference(0.1, 0.4)
    assert scipy.stats.kstest(draws.double().numpy(), wrong.cdf).pvalue < 1e-3


def random_parameters(*shape):
    """Means, standard deviations and bounds of every size."""
    generator = seeded(1)
    low = torch.randn(shape, generator=generator, dtype=torch.float64)
    width = 0.1 + torch.rand(shape, generator=generator, dtype=torch.float64)
    share = torch.rand(shape, generator=generator, dtype=torch.float64)
    std = width * 10 ** (-1.5 + 2.5 * torch.rand(shape, generator=generator, dtype=torch.float64))
    return tuple(value.requires_grad_() for value in (low + share * width, std, low, low + width))


@pytest.mark.parametrize(
    "figure",
    [
        lambda q: q.sample(seeded(2)),
        lambda q: q.entropy(),
        lambda q: q.kl_to_uniform(),
        lambda q: q.log_prob(q.low + 0.4 * (q.high - q.low)),
    ],
    ids=["sample", "entropy", "divergence", "density"],
)
def test_gradients_equal_finite_differences(figure):
    assert gradcheck(lambda *p: figure(TruncatedNormal(*p)), random_parameters(30, 3), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize(("mean", "std"), CASES)
def test_single_precision_equals_double_and_its_gradients_are_finite(mean, std):
    results = []
    for dtype in (torch.float32, torch.float64):
        q = truncated(mean, std, dtype=dtype)
        free = TruncatedNormal(q.mean.requires_grad_(), q.std.requires_grad_(), q.low, q.high)
        divergence, density = free.kl_to_uniform(), free.log_prob(torch.full((1,), 0.2, dtype=dtype))
        gradient = torch.autograd.grad((divergence + free.sample(seeded())).sum(), free[:2])
        assert all(part.isfinite().all() for part in gradient)
        assert divergence.item() >= 0
        results.append(torch.stack([divergence, density]).double())
    torch.testing.assert_close(*results, rtol=1e-3, atol=2e-6)


def test_components_add_up_and_bounds_broadcast():
    mean, std, low, high = (value.detach() for value in random_parameters(5))
    q = TruncatedNormal(mean.expand(2, 4, 5), std.expand(2, 4, 5), low, high)
    alone = [TruncatedNormal(*(v[d : d + 1] for v in (mean, std, low, high))) for d in range(5)]
    draws = q.sample(seeded())
    assert draws.shape == (2, 4, 5)
    assert q.log_prob(draws).shape == (2, 4)
    torch.testing.assert_close(q.entropy(), torch.stack([p.entropy() for p in alone]).sum(0).expand(2, 4))
    torch.testing.assert_close(
        q.kl_to_uniform(), torch.stack([p.kl_to_uniform() for p in alone]).sum(0).expand(2, 4)
    )
    assert (q.centre() == mean).all()


def test_values_outside_count_as_the_nearest_bound():
    q = truncated(0.1, 0.4)
    outside, bound = q.high + 1e-3, q.high
    assert q.log_prob(outside) == q.log_prob(bound)
