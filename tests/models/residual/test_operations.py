"""Multiply-adds are those of the convolutions at the positions that are computed."""

import torch
from small_network import images, small_network

from inverse_graphics.models.residual.block import block_kind
from inverse_graphics.models.residual.compaction import dilated
from inverse_graphics.models.residual.evaluation import active_share, computation_map, multiply_adds
from inverse_graphics.models.residual.network import ResidualNetwork, ResidualSettings


@torch.no_grad()
def test_resnets_have_the_multiply_adds_that_are_known_of_them():
    """He et al. 2016: 69 and 253 million of ResNet-32 and -110, a position's zeros beside it counted."""
    for units, millions in ((5, 69), (18, 253)):
        network = ResidualNetwork(ResidualSettings(units=units, channels=3)).eval()
        output = network(torch.rand(1, 3, 32, 32), block_kind("plain"))
        assert round(float(multiply_adds(network, output)) / 1e6) == millions
        assert float(active_share(output)) == 1


@torch.no_grad()
def test_a_thought_costs_what_its_active_positions_cost():
    network = small_network()
    output = network(images(3), block_kind("psact"))
    for row in range(3):
        expected = 9 * 3 * 256 + 6 * 5
        for widths, block in zip(((3, 3), (3, 4), (4, 6)), output.blocks, strict=True):
            for unit in range(4):
                active = block.active(unit)[row : row + 1]
                inputs = widths[0] if unit == 0 else widths[1]
                expected += (
                    9 * widths[1] * (inputs * int(dilated(active).sum()) + widths[1] * int(active.sum()))
                )
                if unit < 3:
                    expected += 9 * widths[1] * int(active.sum()) + widths[1] * bool(active.any())
        assert float(multiply_adds(network, output)[row]) == expected
    ran = sum(block.steps.sum((1, 2)) for block in output.blocks)
    assert torch.allclose(active_share(output), ran / (4 * (256 + 64 + 16)))


def test_growing_adds_the_eight_neighbours():
    active = torch.zeros(1, 5, 5, dtype=torch.bool)
    active[0, 0, 3] = True
    assert dilated(active)[0, :2, 2:].all()
    assert dilated(active).sum() == 6


@torch.no_grad()
def test_a_computation_map_sums_the_units_of_all_blocks():
    output = small_network()(images(2), block_kind("psact"))
    drawn = computation_map(output, 16)
    first, second, third = (block.steps for block in output.blocks)
    for y, x in ((0, 0), (7, 3), (15, 12)):
        expected = first[:, y, x] + second[:, y // 2, x // 2] + third[:, y // 4, x // 4]
        assert torch.equal(drawn[:, y, x], expected)
