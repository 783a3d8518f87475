"""Losses of residual networks that think: what they cost, and gradients that are those of the expectation."""

import itertools

import pytest
import torch
from small_network import images, small_network
from torch.nn.functional import cross_entropy

from inverse_graphics.halting import Accumulated, Discrete, ponder_cost
from inverse_graphics.halting.rules import split_where
from inverse_graphics.models.adaptive.settings import (
    ActObjective,
    PlainObjective,
    ReinforceObjective,
    RelaxedObjective,
)
from inverse_graphics.models.residual.block import block_kind
from inverse_graphics.models.residual.objectives import (
    Labelled,
    ReinforcePsact,
    build_residual_objective,
    summed_over_blocks,
)

TAU = 0.2


def batch(number, size=16):
    return Labelled(images(number, size), torch.arange(number) % 5)


def test_a_unit_costs_tau_over_the_positions_of_its_map():
    network, seen = small_network(block="sact"), batch(4)
    loss, watched = build_residual_objective(network, ActObjective(time_penalty=TAU)).loss(
        seen, torch.Generator()
    )
    output = network(seen.images, block_kind("sact").by(Accumulated()))
    expected = cross_entropy(output.logits, seen.classes)
    for block in output.blocks:
        height, width = block.features.shape[-2:]
        expected = expected + TAU / (height * width) * ponder_cost(block.pondering).sum((1, 2)).mean()
    assert torch.allclose(loss, expected)
    assert set(watched) == {"task_loss", "units_1", "units_2", "units_3"}


def test_a_patch_costs_what_its_positions_cost():
    network, seen = small_network(), batch(3)
    output = network(seen.images, block_kind("sact", 4))
    by_position = sum(
        block.granularity.spread(ponder_cost(block.pondering), *block.features.shape[-2:]).mean((1, 2))
        for block in output.blocks
    )
    assert torch.allclose(summed_over_blocks(output, ponder_cost), by_position)


class Reported:
    """Draws that are laid down."""

    def __init__(self, choices):
        self.choices = iter(choices)

    def split(self, halt_logit, log_alive, generator):
        halts = torch.as_tensor(next(self.choices), dtype=torch.bool).reshape(halt_logit.shape)
        return split_where(halts, log_alive)


def expected_loss(network, seen, kinds, latents):
    """E[ −log p(y | z) + τ Σ N / (H · W) ], by enumeration of two units' draws in every latent of a block."""
    total = torch.zeros(()).double()
    thinking = [kind.halting is not None for kind in kinds].index(True)
    for choice in itertools.product([0, 1], repeat=latents):
        rule = Reported([list(choice)] + [[1] * latents] * 5)
        ruled = [kind.by(rule) for kind in kinds]
        output = network(seen.images, ruled)
        block = output.blocks[thinking]
        logits = block.pondering.halt_logits[0].flatten()
        chosen = torch.tensor(choice, dtype=torch.bool)
        probability = torch.where(chosen, torch.sigmoid(logits), torch.sigmoid(-logits)).prod()
        steps = sum(one.steps.mean() for one in output.blocks)
        total = total + probability * (cross_entropy(output.logits, seen.classes) + TAU * steps)
    return total


def gradient(loss, network):
    parameters = list(network.parameters())
    parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize(("place", "patch", "latents"), [(2, 1, 4), (0, 4, 4)])
def test_the_score_functions_gradient_is_that_of_the_expectation(place, patch, latents):
    """One block of two units thinks; its 4 latents are enumerated, their neighbourhoods included."""
    network = small_network(units=2, image_size=8, bias=-0.2)
    plain, thinks = block_kind("plain"), block_kind("psact", patch)
    kinds = [thinks if index == place else plain for index in range(3)]
    assert network.latents(kinds) == latents
    seen = batch(1, 8)
    exact = gradient(expected_loss(network, seen, kinds, latents), network)
    objective = ReinforcePsact(network, ReinforceObjective(time_penalty=TAU), kinds)
    generator = torch.Generator().manual_seed(0)
    repeated = Labelled(seen.images.expand(400, -1, -1, -1), seen.classes.expand(400))
    objective.loss(repeated, generator)  # the baseline begins
    with torch.no_grad():
        objective.update_baseline(objective.baseline.clone())
    drawn = torch.stack([gradient(objective.loss(repeated, generator)[0], network) for _ in range(30)])
    noise = drawn.std(0) / 30**0.5
    assert ((drawn.mean(0) - exact).abs() < 6 * noise + 1e-9).all()
    other = gradient(expected_loss(network, Labelled(seen.images, seen.classes + 1), kinds, latents), network)
    assert ((drawn.mean(0) - other).abs() > 6 * noise + 1e-9).any(), "another expectation would be noticed"


def test_relaxed_draws_learn_and_all_objectives_reach_all_halting_maps():
    for block, settings in (
        ("sact", ActObjective(time_penalty=TAU)),
        ("psact", RelaxedObjective(time_penalty=TAU)),
        ("psact", ReinforceObjective(time_penalty=TAU)),
    ):
        network = small_network(block=block)
        loss, _ = build_residual_objective(network, settings).loss(batch(4), torch.Generator().manual_seed(0))
        loss.backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_without_thinking_there_is_the_tasks_loss_alone():
    network, seen = small_network(block="plain"), batch(4)
    loss, _ = build_residual_objective(network, PlainObjective(kind="plain")).loss(seen, torch.Generator())
    assert torch.equal(loss, cross_entropy(network(seen.images).logits, seen.classes))
    drawn = network(seen.images, block_kind("plain").by(Discrete()))
    assert torch.equal(drawn.logits, network(seen.images).logits)
