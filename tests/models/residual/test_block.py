"""Blocks that halt by position: copied features, weights that sum to one, rows and pixels alike."""

import pytest
import torch
from small_network import images, small_network

from inverse_graphics.halting import (
    Step,
    conditional_expected_steps,
    expected_steps,
    log_weights,
    ponder,
    ponder_cost,
    select,
)
from inverse_graphics.halting.rules import Accumulated, Discrete, Enumerated, Relaxed, Thresholded
from inverse_graphics.models.residual.block import AdaptiveBlock, HaltingMap, ResidualUnit, block_kind

RULES = [Accumulated(), Relaxed(), Relaxed(0.3, floor=0.01), Discrete(), Thresholded(), Enumerated()]
KINDS = [("act", 1), ("sact", 1), ("sact", 4), ("pact", 1), ("psact", 1), ("psact", 2)]


def draws(seed=5):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize(("name", "patch"), KINDS)
def test_weights_sum_to_one_at_every_position_in_every_mode(rule, name, patch):
    output = small_network()(images(3), block_kind(name, patch).by(rule), draws())
    for block in output.blocks:
        weights = log_weights(block.pondering).exp().sum(0)
        assert torch.allclose(weights, torch.ones_like(weights))
        assert block.steps.min() >= 1
        assert block.steps.max() <= 4


@pytest.mark.parametrize("rule", [Thresholded(), Discrete()], ids=repr)
def test_halted_positions_copy_their_features_and_are_selected_as_they_halted(rule):
    network, kind = small_network(), block_kind("psact").by(rule)
    block = network.blocks[0]
    output = block(network.stem(images(4)), kind, draws())
    states = output.pondering.outputs
    assert 0.02 < (output.steps == 1).double().mean() < 0.98
    for unit in range(1, len(states)):
        halted = ~output.active(unit)[:, None].expand_as(states[0])
        assert torch.equal(states[unit][halted], states[unit - 1][halted])
        assert not torch.equal(states[unit][~halted], states[unit - 1][~halted])
    assert torch.allclose(output.features, states[-1], atol=1e-12)


def test_positions_of_a_patch_and_of_a_whole_map_halt_together():
    for kind, side in ((block_kind("psact", 4).by(Discrete()), 4), (block_kind("pact").by(Discrete()), 16)):
        steps = small_network()(images(6), kind, draws()).blocks[0].steps
        tiles = steps.unfold(1, side, side).unfold(2, side, side)
        assert torch.equal(tiles.amin((3, 4)), tiles.amax((3, 4)))
        assert steps.min() < steps.max(), "or nothing is shown"


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_one_position_is_a_row(rule):
    """On maps of one position a block is what the halting code makes of the same units on rows."""
    torch.manual_seed(2)
    block = AdaptiveBlock(3, 3, 4, 1, -0.5, 1e-3).double().eval()
    for halts in block.halting_maps:
        torch.nn.init.normal_(halts.near.weight)
        torch.nn.init.normal_(halts.far.weight)
    rows = torch.randn(50, 3, dtype=torch.float64)

    def step(state, index, log_alive):
        after = block.residual_units[index](state[:, :, None, None])[:, :, 0, 0]
        if log_alive is not None:
            after = torch.where(torch.isfinite(log_alive)[:, None], after, state)
        if index == 3:
            return Step(torch.full((50,), -torch.inf, dtype=torch.float64), after, after)
        halts = block.halting_maps[index]
        logit = after @ (halts.near.weight[0, :, 1, 1] + halts.far.weight[0]) + halts.near.bias
        return Step(halts.clipped(logit), after, after)

    by_row = ponder(step, rows, 4, rule, draws())
    expected = select(log_weights(by_row), by_row.outputs)
    for name in ("sact", "act"):
        output = block(rows[:, :, None, None], block_kind(name).by(rule), draws())
        assert torch.allclose(output.features[:, :, 0, 0], expected)
        assert torch.allclose(log_weights(output.pondering)[:, :, 0, 0].exp(), log_weights(by_row).exp())
        assert torch.allclose(ponder_cost(output.pondering)[:, 0, 0], ponder_cost(by_row))


@torch.no_grad()
def test_steps_to_expect_equal_those_of_enumeration_and_of_draws():
    """Of one position, where a halting probability depends on the features alone."""
    torch.manual_seed(3)
    block = AdaptiveBlock(3, 3, 4, 1, -0.5, 1e-3).double().eval()
    for halts in block.halting_maps:
        torch.nn.init.normal_(halts.near.weight)
    one = torch.randn(1, 3, 1, 1, dtype=torch.float64)
    kind = block_kind("psact")
    enumerated = block(one, kind.by(Enumerated())).pondering
    weights = log_weights(enumerated).exp()[:, 0, 0, 0]
    mean = float((weights * torch.arange(1, 5)).sum())
    assert float(expected_steps(enumerated)) == pytest.approx(mean)
    many = block(one.expand(40_000, -1, -1, -1), kind.by(Discrete()), draws())
    noise = 5 * float(many.steps.std()) / 200
    assert abs(float(many.steps.mean()) - mean) < noise
    foreseen = conditional_expected_steps(many.pondering)
    assert abs(float(foreseen.mean()) - mean) < noise
    assert foreseen.std() < many.steps.std()
    assert abs(float(many.steps.mean()) - 1.1 * mean) > noise, "another mean would be noticed"


@torch.no_grad()
def test_what_is_foreseen_is_the_mean_of_what_is_drawn_where_neighbours_matter():
    """And `expected_steps` is not: halting probabilities depend on what has been drawn beside them."""
    network = small_network(bias=0.0)
    many = network(images(1).expand(1500, -1, -1, -1), block_kind("psact").by(Discrete()), draws())
    block = many.blocks[1]
    drawn, foreseen = block.steps.mean((1, 2)), conditional_expected_steps(block.pondering).mean((1, 2))
    difference = drawn - foreseen
    assert abs(float(difference.mean())) < 5 * float(difference.std()) / 1500**0.5


@pytest.mark.parametrize(("name", "patch"), KINDS)
def test_the_same_parameters_run_as_every_kind(name, patch):
    network = small_network(block=name, patch=patch)
    plain = network(images(2), block_kind("plain"))
    assert {float(block.steps.mean()) for block in plain.blocks} == {4.0}
    assert set(network.state_dict()) == set(small_network(block="plain").state_dict())
    assert not torch.allclose(network(images(2)).logits, plain.logits)


@pytest.mark.parametrize("rule", [Accumulated(), Relaxed(0.7, floor=1e-9), Enumerated()], ids=repr)
def test_gradients_of_a_block_and_its_cost_equal_finite_differences(rule):
    torch.manual_seed(4)
    block = AdaptiveBlock(2, 2, 3, 1, -0.5, 1e-3).double().eval()
    for halts in block.halting_maps:
        torch.nn.init.normal_(halts.near.weight, 0, 0.3)
        torch.nn.init.normal_(halts.far.weight, 0, 0.3)
    features = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    weights = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    parameters = [p for name, p in block.named_parameters() if p.dim() > 1 or name == "halts.0.near.bias"]
    cost = ponder_cost if isinstance(rule, Accumulated) else expected_steps

    def value(*_):
        output = block(features, block_kind("sact", 2).by(rule), draws())
        # the number of steps carries no gradient, and does not change within the small differences
        return (weights * output.features).sum() + 0.3 * cost(output.pondering).sum()

    assert torch.autograd.gradcheck(value, parameters)


def test_a_halting_map_is_its_formula_and_keeps_away_from_certainty():
    torch.manual_seed(0)
    halts = HaltingMap(3, -3.0, 0.01).double()
    features = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    assert torch.equal(halts(features), torch.full((2, 5, 4), -3.0).double()), "at the start"
    torch.nn.init.normal_(halts.near.weight)
    torch.nn.init.normal_(halts.far.weight)
    padded = torch.nn.functional.pad(features, (1, 1, 1, 1))
    near = sum(
        (halts.near.weight[0, :, y, x, None, None] * padded[:, :, y : y + 5, x : x + 4]).sum(1)
        for y in range(3)
        for x in range(3)
    )
    far = features.mean((2, 3)) @ halts.far.weight[0]
    assert torch.allclose(halts(features), near + far[:, None, None] - 3)
    probabilities = torch.sigmoid(halts.clipped(100 * halts(features)))
    assert probabilities.min() >= 0.01 - 1e-12
    assert probabilities.max() <= 0.99 + 1e-12


def test_a_unit_that_widens_carries_channels_past_its_branch():
    unit = ResidualUnit(2, 5, 2).double().eval()
    torch.nn.init.zeros_(unit.conv2.weight)
    features = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    carried = unit(features)
    assert carried.shape == (1, 5, 2, 2)
    assert torch.allclose(carried[:, 1:3], torch.nn.functional.avg_pool2d(features, 2))
    assert (carried[:, [0, 3, 4]] == 0).all()
