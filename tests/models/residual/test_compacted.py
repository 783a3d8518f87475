"""Evaluation that skips what has halted: the same answers, and work at active positions only."""

import pytest
import torch
from small_network import images, small_network
from torch.nn.functional import conv2d, max_pool2d

from inverse_graphics.halting import Accumulated, Discrete, Enumerated, Relaxed, Thresholded, log_weights
from inverse_graphics.models.residual import compaction
from inverse_graphics.models.residual.block import block_kind
from inverse_graphics.models.residual.compaction import (
    CompactedNetwork,
    FoldedUnit,
    RowLayout,
    convolved,
    dilated,
    gathering_is_faster,
    kernel_rows,
)

RULES = [Thresholded(), Accumulated(), Discrete(), Relaxed(), Relaxed(0.5, floor=0.05), Enumerated()]
GATHERED, EVERYWHERE = 0, 1e9
KINDS = [("plain", 1), ("act", 1), ("sact", 1), ("sact", 4), ("pact", 1), ("psact", 1), ("psact", 2)]


@pytest.mark.parametrize("way", [GATHERED, EVERYWHERE])
@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize(("name", "patch"), KINDS)
@torch.no_grad()
def test_masked_and_compacted_evaluation_agree_to_rounding(rule, name, patch, way, monkeypatch):
    monkeypatch.setattr(compaction, "GATHER_COST", way)
    network, kind = small_network(), block_kind(name, patch).by(rule)
    masked = network(images(5), kind, torch.Generator().manual_seed(3))
    compacted = CompactedNetwork(network)(images(5), kind, torch.Generator().manual_seed(3))
    assert torch.allclose(masked.logits, compacted.logits, rtol=1e-10, atol=1e-12)
    for one, other in zip(masked.blocks, compacted.blocks, strict=True):
        assert torch.equal(one.steps, other.steps)
        assert torch.allclose(one.features, other.features, rtol=1e-9, atol=1e-10)
        assert torch.allclose(log_weights(one.pondering).exp(), log_weights(other.pondering).exp())
    other_draws = network(images(5), kind, torch.Generator().manual_seed(4))
    if name != "plain" and isinstance(rule, Discrete | Relaxed):
        assert not torch.allclose(masked.logits, other_draws.logits), "a difference would be seen"


@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_they_agree_in_single_precision_on_networks_of_the_real_size(seed):
    network = small_network(seed, image_size=32, widths=(16, 32, 64), units=5).float()
    for kind in (block_kind("psact"), block_kind("sact"), block_kind("psact", 4)):
        seen = images(4, 32, seed).float()
        masked, compacted = network(seen, kind), CompactedNetwork(network)(seen, kind)
        for one, other in zip(masked.blocks, compacted.blocks, strict=True):
            # a logit within rounding of the threshold may fall to either side
            assert (one.steps != other.steps).double().mean() < 1e-3
        assert torch.allclose(masked.logits, compacted.logits, atol=1e-2)


@pytest.mark.parametrize("way", [GATHERED, EVERYWHERE])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_convolution_at_places_is_the_dense_one_there(share, way, monkeypatch):
    monkeypatch.setattr(compaction, "ROWS_PER_BATCH", 7)
    monkeypatch.setattr(compaction, "GATHER_COST", way)
    torch.manual_seed(0)
    features = torch.randn(3, 4, 6, 5, dtype=torch.float64)
    weight = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    layout = RowLayout(3, 6, 5)
    chosen = torch.rand(3, 6, 5) < share
    made = convolved(layout.rows_of(features), layout.places(chosen), layout, kernel_rows(weight))
    assert torch.allclose(made, conv2d(features, weight, padding=1).permute(0, 2, 3, 1)[chosen])


def test_few_places_are_gathered_and_many_are_convolved_with_all_others():
    layout = RowLayout(4, 16, 16)
    positions = 4 * 16 * 16
    assert gathering_is_faster(positions // 4, layout, 16)
    assert not gathering_is_faster(positions // 2, layout, 16)
    assert gathering_is_faster(positions // 2, layout, 64), "with more channels, gathering weighs less"
    assert not gathering_is_faster(positions, layout, 64)


def test_contributions_of_neighbours_are_summed_as_a_convolution_does():
    torch.manual_seed(0)
    features = torch.randn(3, 4, 6, 5, dtype=torch.float64)
    weight = torch.randn(1, 4, 3, 3, dtype=torch.float64)
    layout = RowLayout(3, 6, 5)
    contributions = weight[0].flatten(1).mT @ layout.rows_of(features).mT
    assert torch.allclose(
        layout.sum_over_neighbours(contributions), conv2d(features, weight, padding=1)[:, 0]
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (7, 5)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_positions_grow_by_their_neighbours(size, share):
    active = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)) < share
    assert torch.equal(dilated(active), max_pool2d(active[:, None].float(), 3, 1, 1)[:, 0] > 0)


def test_rows_and_maps_are_the_same_numbers():
    features = torch.randn(2, 3, 4, 5)
    layout = RowLayout(2, 4, 5)
    rows = layout.rows_of(features)
    assert rows.shape == (layout.rows, 3)
    assert torch.equal(layout.map_of(rows), features)
    assert rows.abs().sum() == layout.without_border(torch.where(rows == 0, 1.0, rows)).abs().sum()
    everywhere = layout.places(torch.ones(2, 4, 5, dtype=torch.bool))
    assert torch.equal(rows[everywhere], features.permute(0, 2, 3, 1).reshape(-1, 3))


@torch.no_grad()
def test_work_is_done_where_something_is_alive(monkeypatch):
    """Rows that go through the convolutions, where they are gathered, are those that are counted."""
    monkeypatch.setattr(compaction, "GATHER_COST", GATHERED)
    network = small_network()
    done = []
    real = FoldedUnit.branch

    def watched(self, rows, inner, layout, active, places):
        done.append((len(places), int(dilated(active).sum())))
        return real(self, rows, inner, layout, active, places)

    monkeypatch.setattr(FoldedUnit, "branch", watched)
    output = CompactedNetwork(network)(images(4), block_kind("psact"))
    expected = [
        (int(block.active(unit).sum()), int(dilated(block.active(unit)).sum()))
        for block in output.blocks
        for unit in range(1, 4)
        if block.active(unit).any()
    ]
    assert done == expected
    assert sum(here for here, _ in done) < 4 * 3 * (16**2 + 8**2 + 4**2)


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="eval"):
        CompactedNetwork(small_network().train())
