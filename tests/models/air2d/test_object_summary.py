"""Ownership, boxes and summaries against what is plain to see in images made by hand."""

import numpy as np
import pytest
import torch

from inverse_graphics.models.air2d.inference import STATISTICS, ink_boxes, object_summaries, ownership


def squares() -> torch.Tensor:
    """One image (1, 20, 30): a bright 4×6 rectangle at (3, 5) and a half bright 8×2 one at (18, 11)."""
    image = torch.zeros(1, 20, 30)
    image[0, 5:11, 3:7] = 1.0
    image[0, 11:13, 18:26] = 0.5
    return image


WINDOWS = torch.tensor([[[1.0, 3.0, 8.0, 10.0], [16.0, 6.0, 12.0, 12.0], [0.0, 0.0, 30.0, 20.0]]])


@pytest.mark.parametrize("seed", range(5))
def test_boxes_equal_the_slow_reference(seed):
    generator = torch.Generator().manual_seed(seed)
    visible = torch.rand(4, 3, 9, 7, generator=generator) > 0.93
    for box, mask in zip(ink_boxes(visible).reshape(-1, 4), visible.reshape(-1, 9, 7), strict=True):
        rows, columns = np.nonzero(mask.numpy())
        expected = [0, 0, 0, 0]
        if len(rows):
            x, y = columns.min(), rows.min()
            expected = [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
        assert box.tolist() == expected


def test_pixels_belong_to_one_present_object_at_most():
    generator = torch.Generator().manual_seed(0)
    windows = torch.rand(20, 3, 4, generator=generator) * 15 + 1
    counts = torch.randint(0, 4, (20,), generator=generator)
    owned = ownership(windows, counts, 20, 30)
    assert owned.sum(1).max() <= 1
    for index, count in enumerate(counts.tolist()):
        assert owned[index, count:].sum() == 0


def test_absent_objects_own_nothing_even_where_their_window_is():
    owned = ownership(WINDOWS, torch.tensor([2]), 20, 30)
    assert owned[0, 2].sum() == 0
    boxes = ink_boxes(squares()[:, None] * owned > 0.1)[0]
    assert boxes[0].tolist() == [3, 5, 4, 6]
    assert boxes[1].tolist() == [18, 11, 8, 2]


def test_summaries_say_size_ink_and_error():
    image = squares()
    owned = ownership(WINDOWS, torch.tensor([2]), 20, 30)
    exact = dict(zip(STATISTICS, object_summaries(image, image, owned)[0].T, strict=True))
    assert exact["longer side"][:2].exp().tolist() == pytest.approx([6, 8])
    assert exact["aspect"][:2].exp().tolist() == pytest.approx([6 / 4, 2 / 8])
    assert (exact["ink"][:2].exp() - 0.5).tolist() == pytest.approx([24, 8], rel=1e-5)
    assert exact["contrast"][:2].exp().tolist() == pytest.approx([1, 4.5 / 8.5], rel=1e-5)
    assert (exact["error inside"][:2].exp() - 0.02).tolist() == pytest.approx([0, 0], abs=1e-6)
    blank = object_summaries(image, torch.zeros_like(image), owned)[0]
    assert (blank[:2, 5].exp() - 0.02).tolist() == pytest.approx([24 / 24.5, 4 / 4.5], rel=1e-4)


def test_ink_outside_every_window_is_an_error_outside():
    image = squares()
    owned = ownership(WINDOWS[:, :1], torch.tensor([1]), 20, 30)
    outside = object_summaries(image, torch.zeros_like(image), owned)[0, 0, 6].exp() - 0.5
    assert outside == pytest.approx(16 * 0.25, rel=1e-4)


def test_empty_images_give_finite_summaries():
    nothing = torch.zeros(2, 20, 30)
    owned = ownership(WINDOWS.expand(2, -1, -1), torch.tensor([0, 3]), 20, 30)
    assert torch.isfinite(object_summaries(nothing, nothing, owned)).all()
