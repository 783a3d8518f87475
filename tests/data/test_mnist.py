from __future__ import annotations

import numpy as np
import pytest

from inverse_graphics.data.glyphs import Glyphs
from inverse_graphics.data.mnist import SHIPPED_SIZES, Part, load_digits
from inverse_graphics.errors import DataError

SPLITS: tuple[Part, ...] = ("train", "test")


@pytest.mark.parametrize("split", SPLITS)
def test_the_shipped_subset_is_whole(shipped_digits: dict[Part, Glyphs], split: Part) -> None:
    digits = shipped_digits[split]
    assert digits.images.shape == (SHIPPED_SIZES[split], 28, 28)
    assert digits.images.dtype == np.uint8
    assert digits.labels.dtype == np.int64
    assert np.bincount(digits.labels, minlength=10).min() > 80
    assert len(np.bincount(digits.labels)) == 10


@pytest.mark.usefixtures("full_mnist")
@pytest.mark.parametrize("split", SPLITS)
def test_the_shipped_subset_is_the_beginning_of_the_full_set(
    shipped_digits: dict[Part, Glyphs], split: Part
) -> None:
    full, count = load_digits(split), SHIPPED_SIZES[split]
    assert full.images.shape == ({"train": 60_000, "test": 10_000}[split], 28, 28)
    assert np.array_equal(full.images[:count], shipped_digits[split].images)
    assert np.array_equal(full.labels[:count], shipped_digits[split].labels)


def test_no_test_digit_is_a_training_digit(shipped_digits: dict[Part, Glyphs]) -> None:
    train, test = ({image.tobytes() for image in shipped_digits[split].images} for split in SPLITS)
    assert not train & test


def test_labels_must_match_images() -> None:
    with pytest.raises(DataError, match="labels of shape"):
        Glyphs(np.zeros((3, 28, 28), np.uint8), np.zeros(2, np.int64))
