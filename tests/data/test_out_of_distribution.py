"""Foreign images are images, the same for the same seed."""

import numpy as np
import pytest

from inverse_graphics.data.out_of_distribution import OUT_OF_DISTRIBUTION


@pytest.mark.parametrize("kind", OUT_OF_DISTRIBUTION)
def test_they_are_images_and_repeat_with_the_seed(kind, data_beside_repository):
    first, second, other = (OUT_OF_DISTRIBUTION[kind](5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    if first is None:
        assert kind in {"Omniglot", "Omniglot, inverted", "sprites"}
        return
    assert second is not None
    assert other is not None
    assert len(first) == 5
    for image in first:
        assert image.dtype == np.float32
        assert image.ndim in (2, 3)
        assert 0 <= image.min() <= image.max() <= 1
    assert all(np.array_equal(one, same) for one, same in zip(first, second, strict=True))
    assert any(not np.array_equal(one, new) for one, new in zip(first, other, strict=True))
