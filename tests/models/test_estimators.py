"""Every estimator against enumeration: the mean of many draws is the gradient that it claims to estimate."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from toy_air import LOG_COUNT_PRIOR, PRIOR, FromNodes, ToyAir, log_likelihood

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.elbo import exact_count_elbo, prefix_bounds
from inverse_graphics.models.estimators.concrete import Concrete
from inverse_graphics.models.estimators.exact import ExactCount
from inverse_graphics.models.estimators.multi_sample import (
    ImportanceWeighted,
    WakeSleep,
    learning_signals,
    log_joint,
    log_mean,
)
from inverse_graphics.models.estimators.score_function import (
    ScoreFunction,
    log_presences,
    sample_counts,
)

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(20)
OTHER_PRIOR = torch.log_softmax(LOG_COUNT_PRIOR + torch.tensor([0.0, 1.5, 0.0]), 0)
IMAGE = torch.tensor([[[[0.9, 0.4]]]], dtype=torch.float64)
REPEATS = 24


class SomeBaseline(nn.Module):
    """Knows the image, and before the second step the first latent; far from perfect."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(-2.0, dtype=torch.float64))

    def forward(self, images, inference):
        first = self.offset + images.flatten(1).sum(-1)
        return torch.stack([first, first + 2 * inference.objects[0].latents.value[:, 0].detach()], -1)


def quadrature():
    """Weights (M,) and noise, two of (M, 1), whose weighted sums are means over two normal numbers."""
    pairs = list(itertools.product(range(len(NODES)), repeat=2))
    weights = torch.tensor([NODE_WEIGHTS[a] * NODE_WEIGHTS[b] for a, b in pairs]) / (2 * math.pi)
    noise = [torch.tensor([[NODES[pair[i]]] for pair in pairs]) for i in (0, 1)]
    return weights, noise


def enumerated(model):
    """Quadrature weights (M,), and what the model infers at the nodes."""
    weights, noise = quadrature()
    return weights, attend_infer_repeat(model, IMAGE.expand(len(weights), -1, -1, -1), FromNodes(noise))


def gradient_of_bound(model):
    weights, inference = enumerated(model)
    bound = (weights * exact_count_elbo(inference, LOG_COUNT_PRIOR).elbo).sum()
    return torch.autograd.grad(bound, model.theta)[0]


def gradient_of_two_sample_bound(model):
    """Σ over both samples' noise and both counts, each with its probability."""
    weights, inference = enumerated(model)
    joint, log_q = log_joint(model, inference, LOG_COUNT_PRIOR), inference.log_count
    ratio = (joint - log_q).flatten()
    probability = (weights[:, None] * log_q.exp()).flatten()
    bound = torch.logaddexp(ratio[:, None], ratio[None, :]) - math.log(2)
    return torch.autograd.grad(probability @ bound @ probability, model.theta)[0]


def estimates(estimator, model, batch, seeds=REPEATS, prior=LOG_COUNT_PRIOR):
    """Mean gradients of batches of the same image, one a seed: (seeds, 7)."""
    images, gradients = IMAGE.expand(batch, -1, -1, -1), []
    for seed in range(seeds):
        objective = estimator(images, prior, 1.0, torch.Generator().manual_seed(seed)).objective
        gradients.append(torch.autograd.grad(objective.mean(), model.theta)[0])
    return torch.stack(gradients)


def deviations(gradients, expected):
    """By how many standard errors the mean is off, each parameter for itself."""
    error = gradients.std(0) / math.sqrt(len(gradients))
    return ((gradients.mean(0) - expected).abs() / (error + 1e-12)).max()


UNBIASED = {
    "exact": ExactCount,
    "score function": lambda model: ScoreFunction(model, None),
    "score function, baseline": lambda model: ScoreFunction(model, SomeBaseline()),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("make", UNBIASED.values(), ids=UNBIASED.keys())
def test_unbiased_for_the_bound(make, seed):
    model = ToyAir(seed)
    expected = gradient_of_bound(model)
    assert deviations(estimates(make(model), model, 4000), expected) < 4.5
    shifted = estimates(make(model), model, 4000, prior=OTHER_PRIOR)
    assert deviations(shifted, expected) > 6


@pytest.mark.parametrize("seed", range(2))
def test_importance_weighting_is_unbiased_for_its_bound(seed):
    model = ToyAir(seed)
    expected = gradient_of_two_sample_bound(model)
    assert deviations(estimates(ImportanceWeighted(model, 2), model, 4000), expected) < 4.5
    assert deviations(estimates(ImportanceWeighted(model, 4), model, 4000), expected) > 6


def test_a_baseline_lowers_variance():
    model, batch = ToyAir(0), 500
    spread = [
        estimates(estimator, model, batch).var(0).sum()
        for estimator in (ExactCount(model), ScoreFunction(model, SomeBaseline()), ScoreFunction(model, None))
    ]
    assert spread[0] < spread[1] < spread[2]


@torch.no_grad()
def posterior_grid(model, cells=241, reach=6.0):
    """z_1, z_2 (M, 1) on a grid, and the posterior's weights of z and the count: (M, 3), summing to one."""
    grid = torch.linspace(-reach, reach, cells, dtype=torch.float64)
    z1, z2 = (z.reshape(-1, 1) for z in torch.meshgrid(grid, grid, indexing="ij"))
    prefixes = [model.draw(latents) for latents in ([], [z1], [z1, z2])]
    log_p = (
        torch.stack([log_likelihood(IMAGE, prefix).expand(len(z1)) for prefix in prefixes], -1)
        + LOG_COUNT_PRIOR
    )
    both = PRIOR.log_prob(z1) + PRIOR.log_prob(z2)  # those beyond the count keep the prior
    return z1, z2, (log_p + both[:, None]).flatten().softmax(0).view(-1, 3)


def gradient_of_wake_phase(model):
    """Under the true posterior, the mean gradients of log p(x | z) and of log q(z, n | x)."""
    z1, z2, weights = posterior_grid(model)
    images = IMAGE.expand(len(z1), -1, -1, -1)
    logit1, q1 = model.heads(images, torch.zeros_like(z1))
    logit2, q2 = model.heads(images, z1)
    keep1, keep2 = (torch.nn.functional.logsigmoid(logit) for logit in (logit1, logit2))
    halt1, halt2 = (torch.nn.functional.logsigmoid(-logit) for logit in (logit1, logit2))
    one = q1.log_prob(z1)
    log_q = torch.stack([halt1, keep1 + halt2 + one, keep1 + keep2 + one + q2.log_prob(z2)], -1)
    prefixes = [model.draw(latents) for latents in ([], [z1], [z1, z2])]
    log_p = torch.stack([log_likelihood(images, prefix) for prefix in prefixes], -1)
    return torch.autograd.grad((weights * (log_q + log_p)).sum(), model.theta)[0]


@pytest.mark.parametrize("seed", range(2))
def test_wake_sleep_tends_to_the_posteriors_gradient(seed):
    """Many samples: the bias is gone. Few samples: it is there."""
    model = ToyAir(seed)
    with torch.no_grad():
        model.theta[2:5] *= 0.3
        model.theta[5] = 1.5  # proposals wider than the posterior, or weights have no variance
    expected = gradient_of_wake_phase(model)
    many = estimates(WakeSleep(model, 20_000), model, 1)
    assert deviations(many, expected) < 4.5
    assert torch.allclose(many.mean(0), expected, rtol=0.1, atol=0.02)
    assert deviations(estimates(WakeSleep(model, 2), model, 10_000), expected) > 6


@torch.no_grad()
def relaxed_value(model, estimator, seed):
    generator = torch.Generator().manual_seed(seed)
    images = IMAGE.expand(2000, -1, -1, -1)
    inference = attend_infer_repeat(model, images, Reparameterised(generator))
    weights = estimator._relaxed(inference, generator)
    prefixes = torch.stack(model.prefixes(inference.objects), 1)
    count = inference.log_count.exp()
    kl_count = (count * (inference.log_count - LOG_COUNT_PRIOR)).sum(-1)
    value = estimator._relaxed_bound(images, weights, prefixes, inference.kl) - kl_count - inference.kl_shared
    return value.mean(), exact_count_elbo(inference, LOG_COUNT_PRIOR).elbo.mean()


def test_the_relaxed_gradient_is_that_of_the_relaxed_objective():
    model = ToyAir(0)
    estimator = Concrete(model, 0.7)
    (gradient,) = estimates(estimator, model, 2000, seeds=1)
    step = 1e-6
    for index in range(7):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                model.theta[index] += sign * step
                ends.append(relaxed_value(model, estimator, seed=0)[0])
                model.theta[index] -= sign * step
        assert gradient[index].item() == pytest.approx(((ends[0] - ends[1]) / (2 * step)).item(), abs=1e-6)


def test_the_relaxed_objective_nears_the_bound_as_it_cools():
    model = ToyAir(1)
    gaps = []
    for temperature in (0.01, 1.0):
        pairs = [relaxed_value(model, Concrete(model, temperature), seed) for seed in range(20)]
        gaps.append(float(sum(relaxed - exact for relaxed, exact in pairs) / len(pairs)))
    assert abs(gaps[0]) < 0.02
    assert abs(gaps[1]) > 0.05


def test_counts_are_drawn_with_their_probabilities_and_presences_make_them_up():
    _, inference = enumerated(ToyAir(2))
    rows = inference.log_count[:1].expand(30_000, -1)
    drawn = sample_counts(rows, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    assert torch.allclose(shares.double(), rows[0].exp(), atol=0.015)
    for count in range(3):
        counts = torch.full((len(inference.log_count),), count)
        steps = log_presences(inference, counts)
        assert torch.allclose(steps.sum(-1), inference.log_count[:, count])
        assert (steps[:, count + 1 :] == 0).all()


def test_a_samples_signal_is_what_it_raised_the_bound():
    log_weights = torch.tensor([[1.0, 2.0, 6.0]], dtype=torch.float64)
    expected = []
    for k in range(3):
        replaced = log_weights.clone()
        replaced[0, k] = (log_weights.sum() - log_weights[0, k]) / 2
        expected.append((log_mean(log_weights) - log_mean(replaced)).item())
    assert learning_signals(log_weights)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    "make",
    [
        *UNBIASED.values(),
        lambda model: Concrete(model, 0.5),
        lambda model: ImportanceWeighted(model, 3),
        lambda model: WakeSleep(model, 1),
    ],
)
def test_untrusted_counts_do_not_weight_what_is_drawn(make):
    """At trust 0 what is drawn (theta 6) learns from every prefix alike, whatever is inferred."""
    model = ToyAir(0)
    images = IMAGE.expand(6, -1, -1, -1)
    gradients = []
    for logit in (-3.0, 3.0):
        with torch.no_grad():
            model.theta[0] = logit
        objective = make(model)(images, LOG_COUNT_PRIOR, 0.0, torch.Generator().manual_seed(0)).objective
        gradients.append(torch.autograd.grad(objective.mean(), model.theta)[0][6])
    assert gradients[0] == pytest.approx(gradients[1].item(), rel=1e-9)
    inference = attend_infer_repeat(model, images, Reparameterised(torch.Generator().manual_seed(0)))
    uniform = torch.autograd.grad(prefix_bounds(inference).mean(), model.theta)[0][6]
    if not isinstance(make(model), ImportanceWeighted):
        assert gradients[1] == pytest.approx(uniform.item(), rel=1e-9)
