"""Losses of networks that think: sums over what there is, unbiased gradients, and learning."""

from statistics import median

import numpy as np
import pytest
import torch

from inverse_graphics.halting import Enumerated, Relaxed, Thresholded, log_weights, ponder_cost
from inverse_graphics.models.adaptive.cells import hidden_of
from inverse_graphics.models.adaptive.sequence_evaluation import evaluate_sequences
from inverse_graphics.models.adaptive.sequence_network import (
    AdaptiveSettings,
    SequenceNetwork,
    SequenceNetworkSettings,
    Sequences,
)
from inverse_graphics.models.adaptive.sequence_objectives import answer_losses, build_sequence_objective
from inverse_graphics.models.adaptive.settings import (
    ActObjective,
    PlainObjective,
    ReinforceObjective,
    RelaxedObjective,
)
from inverse_graphics.sequences.bits import Logic, Parity
from inverse_graphics.sequences.numbers import Addition

TAU = 0.1


def network(problem, seed=0, **settings):
    torch.manual_seed(seed)
    chosen = {"cell": "rnn", "hidden": 8, "max_steps": 4, "halting_bias": -0.5} | settings
    made = SequenceNetwork(
        SequenceNetworkSettings(problem=problem, model=AdaptiveSettings.model_validate(chosen))
    ).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2)
    return made


def sequences(problem, size, seed=0):
    batch = problem.draw(size, np.random.default_rng(seed))
    return Sequences.from_batch(batch._replace(inputs=batch.inputs.astype(np.float64)))


def gradient(loss, module):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(module.parameters()))])


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_recurrent_matrices_begin_orthogonal_gate_by_gate_where_a_gain_is_given(cell, gates):
    settings = AdaptiveSettings(cell=cell, hidden=8, recurrent_gain=1.5)
    made = SequenceNetwork(SequenceNetworkSettings(problem=Parity(bits=3), model=settings))
    weight = made.adaptive_cell.cell.get_parameter("weight_hh")
    matrices = weight.detach().split(8)
    assert len(matrices) == gates
    for matrix in matrices:
        torch.testing.assert_close(matrix @ matrix.mT, 2.25 * torch.eye(8))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_sequences_of_a_batch_do_not_touch_each_other(cell):
    """SequenceOutput and costs are those of each sequence alone, without the padding."""
    problem = Addition(length=4)
    made, batch = network(problem, cell=cell), problem.draw(6, np.random.default_rng(1))
    assert len(set(batch.lengths.tolist())) > 1
    whole = Sequences.from_batch(batch._replace(inputs=batch.inputs.astype(np.float64)))
    answers = made(whole.inputs)
    loss, _ = build_sequence_objective(made, ActObjective(time_penalty=TAU)).loss(whole, torch.Generator())
    total = torch.zeros(()).double()
    for row in range(6):
        alone = [inputs[row : row + 1] for inputs in whole.inputs[: batch.lengths[row]]]
        lonely = made(alone)
        assert torch.allclose(lonely.logits, answers.logits[whole.row == row])
        total = total + answer_losses(lonely.logits, whole.targets[whole.row == row]).sum()
        total = total + TAU * sum(ponder_cost(pondering).sum() for pondering in lonely.ponderings)
    assert torch.allclose(loss, total / 6)


def test_losses_are_log_probabilities_of_what_is_asked():
    logits = torch.randn(5, 3, 4, dtype=torch.float64)
    targets = torch.tensor([[0, 1, 3], [2, 2, -1], [-1, -1, -1], [3, 0, 0], [1, 1, 1]])
    expected = [
        -sum(torch.log_softmax(one, -1)[t] for one, t in zip(rows, wanted, strict=True) if t >= 0)
        for rows, wanted in zip(logits, targets, strict=True)
    ]
    assert torch.allclose(
        answer_losses(logits, targets), torch.stack([torch.as_tensor(e).double() for e in expected])
    )
    binary = torch.randn(3, 1, 1, dtype=torch.float64)
    both = torch.cat([torch.zeros_like(binary), binary], -1)
    wanted = torch.tensor([[0], [1], [-1]])
    assert torch.allclose(answer_losses(binary, wanted), answer_losses(both, wanted))


def expected_objective(made, batch, tau):
    """E_q[ −log p(y | z) + τ Σ n ], by enumeration of the steps of one or two inputs."""

    def follow(times, state, row):
        if not times:
            return torch.zeros(()).double()
        inputs, total = batch.inputs[times[0]], torch.zeros(()).double()
        if row >= len(inputs):
            return total
        _, pondering = made.adaptive_cell(inputs[row : row + 1], state, halting=Enumerated())
        for n, (weight, after) in enumerate(
            zip(log_weights(pondering).exp(), pondering.outputs, strict=True), 1
        ):
            at = sum(len(earlier) for earlier in batch.inputs[: times[0]]) + row
            loss = answer_losses(made.answer(hidden_of(after)).reshape(1, 1, 1), batch.targets[at : at + 1])[
                0
            ]
            total = total + weight[0] * (loss + tau * n + follow(times[1:], after, row))
        return total

    rows = range(len(batch.inputs[0]))
    return sum(follow(list(range(len(batch.inputs))), None, row) for row in rows) / len(batch.inputs[0])


def test_the_score_functions_gradient_is_that_of_the_expectation():
    problem = Logic(gates=2, length=2)
    made, batch = network(problem, max_steps=3, hidden=3), sequences(problem, 4, seed=6)
    assert [len(inputs) for inputs in batch.inputs] == [4, 2]
    exact = gradient(expected_objective(made, batch, TAU), made)
    objective = build_sequence_objective(made, ReinforceObjective(time_penalty=TAU))
    generator = torch.Generator().manual_seed(0)
    repeated = Sequences(
        [inputs.repeat_interleave(500, 0) for inputs in batch.inputs],
        batch.targets.repeat_interleave(500, 0),
        batch.difficulty.repeat_interleave(500),
        batch.row,
    )
    draws = torch.stack([gradient(objective.loss(repeated, generator)[0], made) for _ in range(60)][1:])
    mean, error = draws.mean(0), draws.std(0) / len(draws) ** 0.5
    assert ((mean - exact).abs() <= 4.5 * error + 1e-12).all()
    wrong = gradient(expected_objective(made, batch, 2 * TAU), made)
    assert ((mean - wrong).abs() > 4.5 * error).any()


def test_the_baseline_is_a_moving_average_that_begins_at_the_first_loss():
    problem = Parity(bits=4)
    made, batch = network(problem), sequences(problem, 50)
    objective = build_sequence_objective(made, ReinforceObjective(time_penalty=0.0, baseline_decay=0.9))
    losses = []
    for _ in range(3):
        loss = objective.loss(batch, torch.Generator().manual_seed(1))[1]["task_loss"]
        losses.append(float(loss))
        assert float(dict(objective.named_buffers())["baseline"]) == pytest.approx(losses[0], rel=1e-6)
    assert {name for name, _ in objective.named_buffers()} >= {"baseline", "initialised"}


def test_relaxed_pact_pays_for_expected_steps_and_not_for_drawn_ones():
    problem = Parity(bits=4)
    made, batch = network(problem), sequences(problem, 30)
    free, dear = (
        build_sequence_objective(made, RelaxedObjective(time_penalty=tau, floor=0.0)).loss(
            batch, torch.Generator().manual_seed(2)
        )[0]
        for tau in (0.0, TAU)
    )
    weights = log_weights(made.adaptive_cell(batch.inputs[0], halting=Enumerated()).pondering).exp()
    steps = (weights * torch.arange(1, 5)[:, None]).sum(0).mean()
    assert torch.allclose(dear - free, TAU * steps)


def test_a_cold_relaxation_and_the_draws_agree():
    problem = Parity(bits=4)
    made, batch = network(problem), sequences(problem, 4000)
    cold = made(batch.inputs, Relaxed(1e-4, 0.0), torch.Generator().manual_seed(0))
    losses = answer_losses(cold.logits, batch.targets)
    exact = expected_objective(made, batch, 0.0)
    assert abs(losses.mean() - exact) < 5 * losses.std() / 4000**0.5


@pytest.mark.learning
@pytest.mark.parametrize(
    ("objective", "repetitions"),
    [
        (ActObjective(), None),
        (RelaxedObjective(), None),
        (ReinforceObjective(), None),
        (PlainObjective(), 3),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_every_objective_learns_parity_of_three_bits(objective, repetitions):
    """And does not from the answers to other sequences."""
    # seen: 0 for each objective with 3 seeds on avx2 and one each on default and, with 2 threads, avx512;
    # 0.45 or more when misled
    errors = [parity_error(objective, repetitions, seed) for seed in range(3)]
    assert median(errors) < 0.02
    assert parity_error(objective, repetitions, seed=0, misled=True) > 0.25


def parity_error(objective, repetitions, seed, misled=False):
    """Share of new sequences answered wrongly by a network that has learnt for a second or two."""
    problem = Parity(bits=3)
    made = network(problem, seed, hidden=24, max_steps=6, repetitions=repetitions).float()
    trained = build_sequence_objective(made, objective)
    optimiser = torch.optim.Adam(made.parameters(), lr=1e-2)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    for _ in range(250):
        batch = Sequences.from_batch(problem.draw(64, rng))
        if misled:
            batch = batch._replace(targets=batch.targets.roll(1, 0))
        loss, _ = trained.loss(batch, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    scores = evaluate_sequences(made, problem.draw_test(500, rng), objective.evaluation_halting)
    assert scores.metrics()["wrong_inputs"] == scores.error
    return scores.error


def test_errors_are_of_sequences_of_which_anything_is_asked():
    problem = Addition()
    made = network(problem).float()
    batch = problem.draw(100, np.random.default_rng(0))
    scores = evaluate_sequences(made, batch, Thresholded())
    asked = int((batch.lengths > 1).sum())
    assert asked < 100
    assert scores.error == pytest.approx(len(set(scores.row[scores.wrong])) / asked)
    assert scores.error > 0.9
