"""Halting rules: what halts and what is kept adds up, and outcomes have the right probabilities."""

import pytest
import torch

from inverse_graphics.halting import Step, log_weights, ponder
from inverse_graphics.halting.rules import Accumulated, Discrete, Enumerated, Relaxed, Thresholded

RULES = [Enumerated(), Discrete(), Thresholded(), Relaxed(), Relaxed(0.3), Accumulated(), Accumulated(0.2)]
SHAPES = [(1, 1), (5, 4), (2, 3, 6), (2, 1, 5, 4, 7)]


def run(logits, halting, generator=None):
    """Ponder with given halting logits (..., L); each step emits its index."""
    return ponder(lambda s, i, _: Step(logits[..., i], i, s), None, logits.shape[-1], halting, generator)


def random_logits(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


@pytest.mark.parametrize("halting", RULES, ids=repr)
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_sum_to_one_and_keep_is_what_did_not_halt(halting, shape):
    logits = random_logits(0, *shape)
    result = run(logits, halting, torch.Generator().manual_seed(1))
    halt, keep = result.log_halt.exp(), result.log_keep.exp()
    assert halt.shape == (*shape[:-1], shape[-1] + 1)
    assert keep.shape == shape
    assert torch.allclose(halt.sum(-1), torch.ones(shape[:-1], dtype=torch.float64))
    assert torch.allclose(keep, 1 - halt[..., :-1].cumsum(-1))


@pytest.mark.parametrize("halting", RULES, ids=repr)
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_of_a_process_that_must_halt_sum_to_one(halting, shape):
    result = run(random_logits(2, *shape), halting, torch.Generator().manual_seed(1))
    weights = log_weights(result).exp()
    assert len(weights) == len(result.outputs)
    assert torch.allclose(weights.sum(0), torch.ones(shape[:-1], dtype=torch.float64))


@pytest.mark.parametrize("halting", RULES, ids=repr)
def test_a_pixel_is_a_row(halting):
    logits = random_logits(3, 6, 5)
    rows = run(logits, halting, torch.Generator().manual_seed(1))
    pixels = run(logits[:, None, None, None], halting, torch.Generator().manual_seed(1))
    assert torch.equal(pixels.log_halt[:, 0, 0, 0], rows.log_halt)
    assert torch.equal(log_weights(pixels)[:, :, 0, 0, 0], log_weights(rows))


def test_enumerated_weights_are_products_of_presences():
    logits = random_logits(2, 7, 3)
    present = torch.sigmoid(-logits)
    halt = run(logits, Enumerated()).log_halt.exp()
    for n in range(4):
        expected = present[:, :n].prod(-1) * ((1 - present[:, n]) if n < 3 else 1)
        assert torch.allclose(halt[:, n], expected)


@pytest.mark.parametrize("halting", [Enumerated(), Relaxed(), Accumulated()], ids=repr)
def test_weights_stay_finite_at_extreme_logits(halting):
    logits = torch.tensor([[800.0, -800.0], [-800.0, 800.0]], requires_grad=True)
    result = run(logits, halting, torch.Generator().manual_seed(0))
    weights = result.log_halt.exp()
    weights.square().sum().backward()
    assert torch.isfinite(weights).all()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_discrete_draws_have_the_enumerated_probabilities():
    logits = random_logits(3, 3) / 3
    draws = run(logits.expand(200_000, 3), Discrete(), torch.Generator().manual_seed(4)).log_halt.exp()
    expected = run(logits, Enumerated()).log_halt.exp()
    five_sigma = 5 * (expected * (1 - expected) / len(draws)).sqrt()
    assert ((draws.mean(0) - expected).abs() < five_sigma).all()
    wrong = run(logits + 0.1, Enumerated()).log_halt.exp()
    assert ((draws.mean(0) - wrong).abs() > five_sigma).any()


def test_relaxed_draws_at_low_temperature_are_discrete_ones():
    logits = random_logits(3, 3) / 3
    halting = Relaxed(temperature=1e-4)
    draws = run(logits.expand(100_000, 3), halting, torch.Generator().manual_seed(4)).log_halt.exp()
    assert ((draws < 1e-3) | (draws > 1 - 1e-3)).double().mean() > 0.999
    expected = run(logits, Enumerated()).log_halt.exp()
    five_sigma = 5 * (expected * (1 - expected) / len(draws)).sqrt()
    assert ((draws.mean(0) - expected).abs() < five_sigma + 1e-4).all()


def test_a_relaxed_draw_exceeds_one_half_as_often_as_it_halts():
    """Whatever the temperature: rounding a Concrete variable gives the Bernoulli one."""
    logit = torch.tensor([0.7], dtype=torch.float64)
    draws = run(logit.expand(100_000, 1), Relaxed(1.7), torch.Generator().manual_seed(5)).log_halt.exp()
    share = (draws[:, 0] > 0.5).double().mean()
    assert abs(share - torch.sigmoid(logit)) < 5 * 0.5 / 100_000**0.5


@pytest.mark.parametrize("halting", [Enumerated(), Relaxed(0.7, floor=1e-9), Accumulated(0.05)], ids=repr)
def test_gradients_of_weights_equal_finite_differences(halting):
    logits = random_logits(6, 4, 3) / 3
    coefficients = random_logits(7, 4, 4)

    def mean(logits):
        weights = run(logits, halting, torch.Generator().manual_seed(8)).log_halt.exp()
        return (coefficients * weights).sum()

    assert torch.autograd.gradcheck(mean, logits.requires_grad_())


def test_thresholded_halts_at_the_first_probable_halt():
    logits = torch.tensor([[-1.0, 2.0, 3.0], [-1.0, -1.0, -1.0], [0.5, -9.0, -9.0]])
    assert run(logits, Thresholded()).log_halt.argmax(-1).tolist() == [1, 3, 0]


def test_accumulated_weighs_steps_by_their_halting_probabilities_and_the_last_by_the_remainder():
    """Graves 2016, equations 6 to 8, with ε = 0.01."""
    halting = torch.tensor([[0.3, 0.5, 0.4, 0.9], [0.995, 0.1, 0.1, 0.1], [0.6, 0.395, 0.7, 0.7]]).double()
    expected = [[0.3, 0.5, 0.2, 0, 0], [1, 0, 0, 0, 0], [0.6, 0.4, 0, 0, 0]]
    weights = run(torch.logit(halting), Accumulated(0.01)).log_halt.exp()
    assert torch.allclose(weights, torch.tensor(expected).double())
    reluctant = run(torch.logit(torch.full((1, 3), 0.2).double()), Accumulated(0.01))
    assert torch.allclose(log_weights(reluctant).exp()[:, 0], torch.tensor([0.2, 0.2, 0.6]).double())
