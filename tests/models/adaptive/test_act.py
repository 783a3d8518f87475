"""ACT around cells: the cell called again and again, whatever the cell; halted rows cost nothing."""

import pytest
import torch
from torch import nn

from inverse_graphics.halting import (
    Accumulated,
    Discrete,
    Enumerated,
    Relaxed,
    Thresholded,
    log_weights,
    ponder_cost,
    steps_taken,
)
from inverse_graphics.models.adaptive.act import ACT, Repeat
from inverse_graphics.models.adaptive.cells import AnyInputProjection, hidden_of, input_projection

INPUTS, HIDDEN, ROWS = 3, 5, 12


class Leaky(nn.Module):
    """A cell of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.hidden_size = INPUTS + 1, HIDDEN
        self.mix = nn.Linear(INPUTS + 1 + HIDDEN, HIDDEN)

    def forward(self, inputs, state):
        return 0.3 * state + 0.7 * torch.sin(self.mix(torch.cat([inputs, state], -1)))


CELLS = {
    "rnn": lambda: nn.RNNCell(INPUTS + 1, HIDDEN),
    "relu": lambda: nn.RNNCell(INPUTS + 1, HIDDEN, nonlinearity="relu", bias=False),
    "lstm": lambda: nn.LSTMCell(INPUTS + 1, HIDDEN),
    "gru": lambda: nn.GRUCell(INPUTS + 1, HIDDEN),
    "own": Leaky,
}


def thinking(kind, **options):
    torch.manual_seed(0)
    think = ACT(CELLS[kind](), **options).double()
    with torch.no_grad():
        think.halt.weight.mul_(4)
        think.halt.bias.fill_(-1)
    generator = torch.Generator().manual_seed(1)
    return think, torch.randn(ROWS, INPUTS, generator=generator, dtype=torch.float64)


def parts(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


def by_hand(think, inputs, epsilon):
    """Graves 2016, equations 2 to 10, row by row."""
    states, costs = [], []
    for x in inputs:
        zeros = torch.zeros(1, HIDDEN, dtype=torch.float64)
        state = (zeros, zeros) if isinstance(think.cell, nn.LSTMCell) else zeros
        total, mean, n = torch.zeros(()).double(), None, 0
        while True:
            n += 1
            flag = torch.ones(1) if n == 1 else torch.zeros(1)
            state = think.cell(torch.cat([x, flag])[None], state)
            h = torch.sigmoid(think.halt(hidden_of(state)))[0, 0]
            last = total + h >= 1 - epsilon or n == think.max_steps
            p = 1 - total if last else h
            shares = [p * part for part in parts(state)]
            mean = shares if mean is None else [a + b for a, b in zip(mean, shares, strict=True)]
            if last:
                break
            total = total + h
        states.append(mean)
        costs.append(n + p)
    return [torch.cat(rows) for rows in zip(*states, strict=True)], torch.stack(costs)


@pytest.mark.parametrize("kind", CELLS)
def test_act_is_what_the_paper_says_row_by_row(kind):
    think, inputs = thinking(kind, max_steps=7, halting=Accumulated(0.01))
    state, pondering = think(inputs)
    expected, costs = by_hand(think, inputs, 0.01)
    for part, wanted in zip(parts(state), expected, strict=True):
        assert torch.allclose(part, wanted)
    assert torch.allclose(ponder_cost(pondering), costs)
    assert len(set(steps_taken(pondering).tolist())) > 1

    def gradients(states, costs):
        loss = sum(part.sin().sum() for part in states) + 0.3 * costs.sum()
        return torch.autograd.grad(loss, list(think.parameters()))

    ours, theirs = gradients(parts(state), ponder_cost(pondering)), gradients(expected, costs)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", CELLS)
def test_the_fast_way_of_stepping_is_calling_the_cell(kind):
    think, inputs = thinking(kind)
    fast, slow = input_projection(think.cell), AnyInputProjection(think.cell)
    state = think(inputs).state
    for flag in (False, True):
        pushes = [
            way.with_flag(way.projected(inputs)) if flag else way.projected(inputs) for way in (fast, slow)
        ]
        after = [
            parts(way.advance(projected_input, state))
            for way, projected_input in zip((fast, slow), pushes, strict=True)
        ]
        for one, other in zip(*after, strict=True):
            assert torch.allclose(one, other)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    "halting", [Thresholded(), Accumulated(), Relaxed(), Enumerated(), Discrete()], ids=repr
)
def test_compacted_evaluation_is_masked_evaluation(kind, halting):
    think, inputs = thinking(kind, max_steps=9)
    masked = think(inputs, halting=halting, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        compacted = think(inputs, halting=halting, generator=torch.Generator().manual_seed(2))
    for one, other in zip(parts(masked.state), parts(compacted.state), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)
    assert torch.equal(steps_taken(masked.pondering), steps_taken(compacted.pondering))


def test_halted_rows_are_not_stepped():
    think, inputs = thinking("gru", max_steps=9)
    sizes = []
    think.cell.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    with torch.no_grad():
        _, pondering = think(inputs, halting=Thresholded())
    assert sum(sizes) == int(steps_taken(pondering).sum())
    assert sum(sizes) < ROWS * len(sizes)


def test_thresholded_evaluation_selects_the_state_of_its_last_step():
    think, inputs = thinking("lstm", max_steps=9)
    state, pondering = think(inputs, halting=Thresholded())
    last = steps_taken(pondering).long() - 1
    rows = torch.arange(ROWS)
    hidden = torch.stack([hidden_of(after) for after in pondering.outputs])
    assert torch.equal(hidden_of(state), hidden[last, rows])
    assert torch.equal(log_weights(pondering).argmax(0), last)


def test_repeat_takes_the_same_steps_for_all():
    torch.manual_seed(0)
    repeat = Repeat(nn.GRUCell(INPUTS + 1, HIDDEN), steps=3)
    inputs = torch.randn(ROWS, INPUTS)
    state, pondering = repeat(inputs)
    expected = torch.zeros(ROWS, HIDDEN)
    for flag in (1.0, 0.0, 0.0):
        expected = repeat.cell(torch.cat([inputs, torch.full((ROWS, 1), flag)], -1), expected)
    assert torch.allclose(state, expected)
    assert steps_taken(pondering).tolist() == [3.0] * ROWS


def test_thoughts_go_on_from_the_state_before():
    think, inputs = thinking("lstm", max_steps=5)
    first = think(inputs).state
    assert not torch.allclose(hidden_of(think(inputs, first).state), hidden_of(think(inputs).state))
