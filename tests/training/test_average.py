from __future__ import annotations

import pytest
import torch
from line_task import Network

from inverse_graphics.training.optimiser import WeightAverage


def wander(network: Network, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def test_it_equals_the_recursion_in_float64() -> None:
    network = Network()
    average = WeightAverage(network, 0.7)
    means = [parameter.detach().double() for parameter in network.parameters()]
    for step in range(1, 30):
        wander(network, step)
        average.update(step)
        decay = min(0.7, (1 + step) / (10 + step))
        means = [
            decay * mean + (1 - decay) * parameter.detach().double()
            for mean, parameter in zip(means, network.parameters(), strict=True)
        ]
    with average.in_place():
        for mean, parameter in zip(means, network.parameters(), strict=True):
            torch.testing.assert_close(parameter.detach().double(), mean, rtol=1e-5, atol=1e-5)


def test_the_network_gets_its_own_weights_back_whatever_happens() -> None:
    network = Network()
    average = WeightAverage(network, 0.99)
    wander(network, 0)
    average.update(5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def look_and_fail() -> None:
        with average.in_place():
            assert not torch.equal(network.state_dict()["body.0.weight"], before["body.0.weight"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look_and_fail()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
