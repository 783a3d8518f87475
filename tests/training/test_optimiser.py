from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from inverse_graphics.training.optimiser import Optimiser, OptimiserSettings, rate_factor
from inverse_graphics.training.task import ParameterGroup

STEPS = 50


def settings(**changes: object) -> OptimiserSettings:
    return OptimiserSettings.model_validate(changes)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
@given(begin=st.floats(0, 0.95), final=st.floats(0, 1))
def test_the_rate_is_constant_then_falls_to_its_fraction(decay: str, begin: float, final: float) -> None:
    chosen = settings(decay=decay, decay_from=begin, final_fraction=final)
    factors = [rate_factor(chosen, step, 200) for step in range(201)]
    assert all(factor == 1 for factor in factors[: int(begin * 200) + 1])
    assert factors[200] == pytest.approx(final)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(factors))


def test_halfway_both_decays_are_halfway() -> None:
    for decay in ("linear", "cosine"):
        assert rate_factor(settings(decay=decay, final_fraction=0.2), 50, 100) == pytest.approx(0.6)
    assert rate_factor(settings(final_fraction=0.2), 50, 100) == 1


def quadratic(seed: int = 0) -> tuple[list[nn.Parameter], torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parameters = [nn.Parameter(torch.randn(3, 2, generator=generator)), nn.Parameter(torch.zeros(4))]
    return parameters, torch.randn(10, generator=generator)


def loss_of(parameters: list[nn.Parameter], target: torch.Tensor) -> torch.Tensor:
    flat = torch.cat([parameter.flatten() for parameter in parameters])
    return (flat - target).pow(4).sum()


def test_it_is_adam_with_the_rates_of_its_groups() -> None:
    ours, target = quadratic()
    theirs, _ = quadratic()
    chosen = settings(learning_rate=0.05, betas=(0.8, 0.99), weight_decay=0.1, decay="linear")
    optimiser = Optimiser([ParameterGroup(ours[:1]), ParameterGroup(ours[1:], 0.3)], chosen, STEPS)
    groups = [{"params": theirs[:1]}, {"params": theirs[1:]}]
    reference = torch.optim.Adam(groups, betas=(0.8, 0.99), weight_decay=0.1, foreach=False)
    for step in range(STEPS):
        optimiser.apply(loss_of(ours, target), step)
        for group, rate in zip(reference.param_groups, (1, 0.3), strict=True):
            group["lr"] = rate * 0.05 * (1 - 0.9 * step / STEPS)
        reference.zero_grad()
        loss_of(theirs, target).backward()
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_the_gradient_is_clipped_as_a_whole_and_its_own_norm_reported() -> None:
    parameters, target = quadratic()
    optimiser = Optimiser([ParameterGroup(parameters)], settings(gradient_clip=0.5), STEPS)
    free = torch.autograd.grad(loss_of(parameters, target), parameters)
    norm = optimiser.apply(loss_of(parameters, target), 0)
    assert norm is not None
    assert norm == pytest.approx(math.sqrt(sum(float(part.square().sum()) for part in free)), rel=1e-5)
    assert norm > 0.5
    clipped = [parameter.grad for parameter in parameters if parameter.grad is not None]
    assert math.sqrt(sum(float(part.square().sum()) for part in clipped)) == pytest.approx(0.5, rel=1e-4)
    for part, whole in zip(clipped, free, strict=True):
        torch.testing.assert_close(part, whole * 0.5 / norm)


@pytest.mark.parametrize("spoil", ["loss", "gradient"])
def test_what_is_not_finite_moves_nothing(spoil: str) -> None:
    parameters, target = quadratic()
    optimiser = Optimiser([ParameterGroup(parameters)], settings(), STEPS)
    optimiser.apply(loss_of(parameters, target), 0)
    before = [tensor.detach().clone() for tensor in (*parameters, *optimiser.state_tensors().values())]
    loss = loss_of(parameters, target)
    if spoil == "loss":
        loss = loss + torch.inf
    else:  # the square root of zero has an infinite slope, and zero times that is not a number
        loss = loss + (parameters[0] * 0).sum().sqrt()
        assert loss.isfinite()
    assert optimiser.apply(loss, 1) is None
    after = [*parameters, *optimiser.state_tensors().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert optimiser.apply(loss_of(parameters, target), 2) is not None


def test_the_state_has_the_same_tensors_from_the_start() -> None:
    parameters, target = quadratic()
    optimiser = Optimiser([ParameterGroup(parameters)], settings(), STEPS)
    before = {name: tensor.shape for name, tensor in optimiser.state_tensors().items()}
    optimiser.apply(loss_of(parameters, target), 0)
    assert {name: tensor.shape for name, tensor in optimiser.state_tensors().items()} == before
    assert len(before) == 6


def steady_then_spike(spike: float, **changes: object) -> tuple[torch.Tensor, torch.Tensor]:
    """How far two tensors move in the step in which the gradient of the first is `spike` times as large.

    All other gradients have the same size and random signs.
    """
    one, other = nn.Parameter(torch.zeros(100)), nn.Parameter(torch.zeros(50))
    optimiser = Optimiser(
        [ParameterGroup([one, other])], settings(learning_rate=0.01, betas=(0.0, 0.999), **changes), 1000
    )
    generator = torch.Generator().manual_seed(0)
    moved = one.detach(), other.detach()
    for step in range(101):
        size = spike if step == 100 else 1.0
        before = one.detach().clone(), other.detach().clone()
        signs = [torch.randn(len(p), generator=generator).sign() for p in (one, other)]
        optimiser.apply(size * (signs[0] * one).sum() + (signs[1] * other).sum(), step)
        moved = one.detach() - before[0], other.detach() - before[1]
    return moved


def test_a_spike_moves_only_its_own_tensor_and_no_farther_than_the_bound() -> None:
    free, _ = steady_then_spike(1000.0)
    clipped, other = steady_then_spike(1000.0, spike_clip=2.0)
    # by the formula of Adam: a gradient g after 100 of size 1 moves by g / sqrt((100 + g²) / 101)
    assert free.abs().max() == pytest.approx(0.01 * 10, rel=0.02)
    assert clipped.abs().max() == pytest.approx(0.01 * 2 / math.sqrt(104 / 101), rel=0.02)
    assert torch.equal(clipped.sign(), free.sign())
    torch.testing.assert_close(other.abs(), torch.full((50,), 0.01), rtol=1e-3, atol=0)


def test_gradients_within_the_bound_are_left_alone_to_the_last_bit() -> None:
    for free, bounded in zip(steady_then_spike(1.9), steady_then_spike(1.9, spike_clip=2.0), strict=True):
        assert torch.equal(free, bounded)


def test_gradients_may_grow_steadily() -> None:
    """Clipped gradients still raise the mean that they are compared with."""
    parameter = nn.Parameter(torch.zeros(10))
    optimiser = Optimiser([ParameterGroup([parameter])], settings(spike_clip=2.0), 1000)
    for step in range(400):
        optimiser.apply((100.0 if step >= 50 else 1.0) * parameter.sum(), step)
    assert parameter.grad is not None
    assert parameter.grad.max() > 50  # from 2 at first


def test_a_tensor_without_gradients_so_far_is_not_held_at_zero() -> None:
    parameter = nn.Parameter(torch.zeros(10))
    optimiser = Optimiser([ParameterGroup([parameter])], settings(spike_clip=2.0), 1000)
    for step in range(60):
        optimiser.apply((1.0 if step >= 50 else 0.0) * parameter.sum(), step)
    assert parameter.abs().min() > 1e-3
