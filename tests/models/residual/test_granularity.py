"""Which positions halt together: sharing and spreading are each other's inverse where they can be."""

import pytest
import torch

from inverse_graphics.models.residual.block import Granularity


@pytest.mark.parametrize(
    ("patch", "shape"), [(1, (8, 8)), (2, (4, 4)), (8, (1, 1)), (16, (1, 1)), (None, (1, 1))]
)
def test_what_is_shared_is_the_mean_of_a_patch_and_spread_over_it(patch, shape):
    granularity = Granularity(patch)
    logits = torch.randn(3, 8, 8, dtype=torch.float64)
    shared = granularity.share(logits)
    assert shared.shape == (3, *shape)
    spread = granularity.spread(shared, 8, 8)
    assert spread.shape == (3, 8, 8)
    side = 8 // shape[0]
    for row in range(shape[0]):
        for column in range(shape[1]):
            here = (
                slice(None),
                slice(row * side, (row + 1) * side),
                slice(column * side, (column + 1) * side),
            )
            assert torch.allclose(
                spread[here], logits[here].mean((1, 2), keepdim=True).expand(-1, side, side)
            )
    assert torch.allclose(granularity.share(spread), shared)
    assert granularity.latents(8, 8) == shape[0] * shape[1]


def test_leading_dimensions_are_kept_and_patches_that_do_not_tile_are_reported():
    weights = torch.rand(4, 3, 2, 2)
    assert torch.equal(Granularity(4).spread(weights, 8, 8)[:, :, 5, 1], weights[:, :, 1, 0])
    assert Granularity(4).fits(8, 8)
    assert Granularity(16).fits(8, 8)
    assert not Granularity(3).fits(8, 8)


def test_infinite_logits_stay_so():
    never = torch.full((1, 4, 4), -torch.inf)
    assert torch.isneginf(Granularity(2).share(never)).all()
    assert torch.isneginf(Granularity(None).share(never)).all()
