"""Steps of cells as one operation: PyTorch's own cells, value and gradient."""

import pytest
import torch
from torch import nn

from inverse_graphics.models.adaptive.cells import Recurrent, lstm_step, rnn_step

ROWS, HIDDEN = 4, 3


def random(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def same(weight, precision=torch.float64):
    return Recurrent(weight, weight.detach().to(precision))


def test_gradients_of_the_rnn_step_equal_finite_differences():
    inputs = random(ROWS, HIDDEN, seed=0), random(ROWS, HIDDEN, seed=1), random(HIDDEN, HIDDEN, seed=2)
    assert torch.autograd.gradcheck(lambda d, h, w: rnn_step(d, h, same(w)), inputs)


def test_gradients_of_the_lstm_step_equal_finite_differences():
    shapes = (ROWS, 4 * HIDDEN), (ROWS, HIDDEN), (ROWS, HIDDEN), (HIDDEN, 4 * HIDDEN)
    inputs = tuple(random(*shape, seed=seed) for seed, shape in enumerate(shapes))
    assert torch.autograd.gradcheck(lambda d, h, c, w: lstm_step(d, h, c, same(w)), inputs)


def test_steps_are_those_of_pytorchs_cells():
    hidden, cell = random(ROWS, HIDDEN, seed=0), random(ROWS, HIDDEN, seed=1)
    inputs = random(ROWS, 2, seed=2)
    simple, long = nn.RNNCell(2, HIDDEN).double(), nn.LSTMCell(2, HIDDEN).double()

    def projected(of):
        return nn.functional.linear(inputs, of.weight_ih, of.bias_ih + of.bias_hh)

    assert torch.allclose(
        rnn_step(projected(simple), hidden, same(simple.weight_hh.mT)), simple(inputs, hidden)
    )
    ours = lstm_step(projected(long), hidden, cell, same(long.weight_hh.mT))
    for one, other in zip(ours, long(inputs, (hidden, cell)), strict=True):
        assert torch.allclose(one, other)


def test_what_needs_no_gradient_gets_none_and_the_rest_is_the_same():
    projected, hidden, weight = (
        random(ROWS, HIDDEN, seed=0),
        random(ROWS, HIDDEN, seed=1),
        random(3, 3, seed=2),
    )
    whole = torch.autograd.grad(rnn_step(projected, hidden, same(weight)).sum(), [hidden])
    part = torch.autograd.grad(rnn_step(projected, hidden, same(weight.detach())).sum(), [hidden])
    assert torch.equal(whole[0], part[0])


@pytest.mark.parametrize("step", ["rnn", "lstm"])
def test_bfloat16_rounds_products_alone(step):
    factor = 4 if step == "lstm" else 1
    projected, hidden = random(ROWS, factor * 64, seed=0).float(), random(ROWS, 64, seed=1).float()
    weight = (random(64, factor * 64, seed=2) / 8).float()
    exact, rounded = (
        rnn_step(projected, hidden, same(weight, precision))
        if step == "rnn"
        else lstm_step(projected, hidden, hidden, same(weight, precision))[0]
        for precision in (torch.float32, torch.bfloat16)
    )
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.03
    slopes = [torch.autograd.grad(after.sum(), [projected, hidden, weight]) for after in (exact, rounded)]
    for one, other in zip(*slopes, strict=True):
        assert other.dtype == torch.float32
        assert (one - other).norm() < 0.02 * one.norm()
