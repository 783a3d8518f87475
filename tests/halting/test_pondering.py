"""The loop: when it stops, what its steps receive, and evaluation that skips halted rows."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from inverse_graphics.halting import Step, log_weights, ponder, select, skip_halted
from inverse_graphics.halting.rules import Accumulated, Discrete, Enumerated, Thresholded


class Memory(NamedTuple):
    inputs: Tensor
    hidden: list[Tensor]


def given(logits):
    return lambda s, i, _: Step(logits[..., i], i, s)


def test_nothing_alive_stops_the_loop_and_enumeration_never_stops():
    logits = torch.tensor([[3.0, 0.0, 0.0, 0.0], [-3.0, 3.0, 0.0, 0.0]])
    stopped = ponder(given(logits), None, 4, Thresholded())
    assert stopped.outputs == [0, 1]
    assert stopped.log_halt.shape == (2, 5)
    assert ponder(given(logits), None, 4, Enumerated()).outputs == [0, 1, 2, 3]


def test_steps_that_are_asked_for_run_even_when_nothing_is_alive():
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0]])
    result = ponder(given(logits), None, 4, Thresholded(), min_steps=3)
    assert result.outputs == [0, 1, 2]
    assert torch.stack(result.halt_logits, -1).tolist() == [[3.0, 1.0, 2.0]]
    assert result.log_halt.exp().tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0]]


def test_steps_receive_the_alive_weight():
    logits = torch.tensor([[-1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    received = []

    def step(state, index, log_alive):
        received.append(None if log_alive is None else log_alive.exp().tolist())
        return Step(logits[:, index], index, state)

    ponder(step, None, 3, Thresholded())
    assert received == [None, [1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize("halting", [Thresholded(), Accumulated(), Discrete()], ids=repr)
def test_compacted_evaluation_is_masked_evaluation_with_less_work(halting):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(8, 8, generator=generator, dtype=torch.float64) / 8**0.5
    inputs = torch.randn(40, 8, generator=generator, dtype=torch.float64)
    work = []

    def step(state, index, log_alive):
        work.append(len(state.inputs))
        hidden = torch.tanh(state.hidden[0] @ matrix + state.inputs)
        return Step(2 * hidden[:, 0] - 1, {"hidden": hidden}, Memory(state.inputs, [hidden]))

    def evaluate(step):
        work.clear()
        start = Memory(inputs, [torch.zeros_like(inputs)])
        result = ponder(step, start, 12, halting, torch.Generator().manual_seed(3))
        chosen = select(log_weights(result), [output["hidden"] for output in result.outputs])
        return chosen, log_weights(result), sum(work)

    masked, weights, all_work = evaluate(step)
    compacted, compacted_weights, work_done = evaluate(skip_halted(step))
    assert torch.allclose(masked, compacted, rtol=0, atol=1e-14)
    assert torch.equal(weights.exp() > 0, compacted_weights.exp() > 0)
    alive = 1 - weights.exp().cumsum(0)[:-1]
    assert work_done == 40 + int((alive > 1e-9).sum())
    assert work_done < all_work
