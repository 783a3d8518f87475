"""Laws of the broken stick: weights sum to one, and sampled outcomes have the enumerated probabilities."""

import pytest
import torch

from inverse_graphics.halting import Discrete, Enumerated, Step, Thresholded, ponder


def run(logits, halting, generator=None):
    """Ponder with given halting logits (..., L); each step emits its index."""
    steps = logits.shape[-1]
    return ponder(lambda s, i: Step(logits[..., i], i, s), None, steps, halting, generator)


def random_logits(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3


@pytest.mark.parametrize("halting", [Enumerated(), Discrete(), Thresholded()])
@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (2, 3, 6)])
def test_weights_sum_to_one_and_keep_is_what_did_not_halt(halting, shape):
    logits = random_logits(0, *shape)
    result = run(logits, halting, torch.Generator().manual_seed(1))
    halt, keep = result.log_halt.exp(), result.log_keep.exp()
    assert torch.allclose(halt.sum(-1), torch.ones(shape[:-1], dtype=torch.float64))
    assert torch.allclose(keep, 1 - halt[..., :-1].cumsum(-1))


def test_enumerated_weights_are_products_of_presences():
    logits = random_logits(2, 7, 3)
    present = torch.sigmoid(-logits)
    halt = run(logits, Enumerated()).log_halt.exp()
    for n in range(4):
        expected = present[:, :n].prod(-1) * ((1 - present[:, n]) if n < 3 else 1)
        assert torch.allclose(halt[:, n], expected)


def test_enumerated_weights_stay_finite_at_extreme_logits():
    logits = torch.tensor([[800.0, -800.0], [-800.0, 800.0]], requires_grad=True)
    log_halt = run(logits, Enumerated()).log_halt
    (log_halt.exp() * log_halt).sum().backward()
    assert torch.isfinite(log_halt).all()
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


def test_thresholded_halts_at_the_first_probable_halt():
    logits = torch.tensor([[-1.0, 2.0, 3.0], [-1.0, -1.0, -1.0], [0.5, -9.0, -9.0]])
    assert run(logits, Thresholded()).log_halt.argmax(-1).tolist() == [1, 3, 0]


def test_nothing_alive_stops_the_loop_and_enumeration_never_stops():
    logits = torch.tensor([[3.0, 0.0, 0.0, 0.0], [-3.0, 3.0, 0.0, 0.0]])
    stopped = run(logits, Thresholded())
    assert stopped.outputs == [0, 1]
    assert stopped.log_halt.shape == (2, 5)
    assert run(logits, Enumerated()).outputs == [0, 1, 2, 3]
