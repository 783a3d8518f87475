"""What a process selects: gradients of ACT are the paper's, expected steps those of all outcomes."""

import pytest
import torch

from inverse_graphics.halting import (
    Step,
    expected_steps,
    log_probability,
    log_weights,
    ponder,
    ponder_cost,
    select,
    steps_taken,
)
from inverse_graphics.halting.rules import Accumulated, Discrete, Enumerated, Relaxed, Thresholded


def run(logits, halting, generator=None, **options):
    """Ponder with given halting logits (..., L)."""
    steps = logits.shape[-1]
    return ponder(lambda s, i, _: Step(logits[..., i], i, s), None, steps, halting, generator, **options)


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gradients_of_act_are_those_of_the_paper():
    """Graves 2016, equations 19 and 20, for outputs y, states s and penalty τ."""
    tau, epsilon, limit = 0.37, 0.01, 6
    halting = torch.sigmoid(5 * random(0, 64, limit) - 3).requires_grad_()
    y, s = random(1, limit, 64, 3), random(2, limit, 64, 5)
    result = run(torch.logit(halting), Accumulated(epsilon))
    weights = log_weights(result)
    outputs, states = select(weights, list(y[: len(weights)])), select(weights, list(s[: len(weights)]))
    loss = outputs.pow(3).sum() + (states.sin().sum(-1) * outputs[:, 0]).sum()
    by_outputs, by_states = torch.autograd.grad(loss, [outputs, states], retain_graph=True)
    total = loss + tau * ponder_cost(result).sum()
    (gradient,) = torch.autograd.grad(total, [halting])

    over = halting.cumsum(-1) >= 1 - epsilon
    over[:, -1] = True
    last = over.long().argmax(-1)  # N − 1
    assert set(last.tolist()) == set(range(limit))
    for row, n in enumerate(last.tolist()):
        by_output = (y[:limit, row] - y[n, row]) @ by_outputs[row]
        by_state = (s[:limit, row] - s[n, row]) @ by_states[row]
        expected = torch.where(torch.arange(limit) < n, by_output + by_state - tau, 0)
        assert torch.allclose(gradient[row], expected, rtol=1e-9, atol=1e-12)


def test_ponder_cost_is_steps_taken_and_the_remainder():
    halting = torch.tensor([[0.3, 0.5, 0.4], [0.995, 0.1, 0.1], [0.1, 0.1, 0.1]]).double()
    result = run(torch.logit(halting), Accumulated())
    assert steps_taken(result).tolist() == [3, 1, 3]
    assert torch.allclose(ponder_cost(result), torch.tensor([3.2, 2.0, 3.8]).double())


def test_expected_steps_are_those_of_all_outcomes_and_of_draws():
    logits = random(3, 5, 6)
    enumerated = run(logits, Enumerated())
    numbers = torch.arange(1, 7).double()
    expected = (log_weights(enumerated).exp() * numbers[:, None]).sum(0)
    assert torch.allclose(expected_steps(enumerated), expected)
    relaxed = run(logits, Relaxed(0.5), torch.Generator().manual_seed(0), min_steps=6)
    assert torch.allclose(expected_steps(relaxed), expected), "not from what was drawn"
    draws = run(logits.expand(100_000, 5, 6), Discrete(), torch.Generator().manual_seed(1))
    drawn = steps_taken(draws)
    five_sigma = 5 * drawn.std(0) / len(drawn) ** 0.5
    assert ((drawn.mean(0) - expected).abs() < five_sigma).all()
    wrong = expected_steps(run(logits + 0.1, Enumerated()))
    assert ((drawn.mean(0) - wrong).abs() > five_sigma).any()


def test_gradients_of_expected_steps_equal_finite_differences():
    logits = random(4, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: expected_steps(run(logits, Enumerated())), logits)


def test_thresholded_selects_one_state():
    logits = torch.tensor([[-1.0, 2.0, 3.0], [-1.0, -1.0, -1.0], [0.5, -9.0, -9.0]]).double()
    result = run(logits, Thresholded())
    states = random(5, 3, 3, 4)
    chosen = select(log_weights(result), list(states))
    assert torch.equal(chosen, states[torch.tensor([1, 2, 0]), torch.arange(3)])
    assert steps_taken(result).tolist() == [2, 3, 1]


@pytest.mark.parametrize("halting", [Enumerated(), Accumulated(), Relaxed()], ids=repr)
def test_pixels_select_their_own_states(halting):
    logits, states = random(6, 2, 1, 3, 4, 5), random(7, 5, 2, 6, 3, 4)
    result = run(logits, halting, torch.Generator().manual_seed(2))
    weights = log_weights(result)
    chosen = select(weights, list(states[: len(weights)]))
    expected = torch.einsum("lbhw,lbchw->bchw", weights[:, :, 0].exp(), states[: len(weights)])
    assert torch.allclose(chosen, expected)


def test_log_probability_is_that_of_the_outcome_that_was_drawn():
    logits = random(8, 500, 4)
    drawn = run(logits, Discrete(), torch.Generator().manual_seed(3))
    enumerated = log_weights(run(logits, Enumerated()))
    outcome = (steps_taken(drawn).long() - 1)[None]
    assert set(outcome.flatten().tolist()) == {0, 1, 2, 3}
    assert torch.allclose(log_probability(drawn), enumerated.gather(0, outcome)[0])


def test_the_last_logit_counts_for_nothing():
    logits = random(9, 8, 3).requires_grad_()
    result = run(logits, Enumerated())
    (gradient,) = torch.autograd.grad((log_weights(result).exp() * random(10, 3, 8)).sum(), [logits])
    assert torch.equal(gradient[:, -1], torch.zeros(8, dtype=torch.float64))
    assert (gradient[:, :-1] != 0).all()
