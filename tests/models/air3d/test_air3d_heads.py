"""Where a step looks: an attention that keeps to its peak once it is trained."""

import pytest
import torch
from small_air3d import seeded

from inverse_graphics.models.air3d.features import STRIDE, Maps
from inverse_graphics.models.air3d.heads import PlaceHead, _about_its_peak

HEIGHT, WIDTH = 6, 8


def attentions(count, seed=0):
    """Rows that sum to one: (count, cells)."""
    return torch.softmax(3 * torch.randn(count, HEIGHT * WIDTH, generator=seeded(seed)), -1)


@pytest.mark.parametrize("radius", [0, 1, 2, 20])
def test_attention_keeps_to_its_peak_and_to_its_own_shares(radius):
    """Against one cell after the other; edges of the map are not passed."""
    given = attentions(40)
    kept = _about_its_peak(given, WIDTH, radius)
    for before, after in zip(given, kept, strict=True):
        peak = int(before.argmax())
        near = [
            abs(cell // WIDTH - peak // WIDTH) <= radius and abs(cell % WIDTH - peak % WIDTH) <= radius
            for cell in range(HEIGHT * WIDTH)
        ]
        expected = before * torch.tensor(near)
        torch.testing.assert_close(after, expected / expected.sum())
    if radius == 20:
        torch.testing.assert_close(kept, given)


def test_of_two_peaks_just_as_high_the_first_is_kept():
    two = torch.full((1, HEIGHT * WIDTH), 1e-6)
    two[0, WIDTH + 1] = two[0, 4 * WIDTH + 6] = 0.5
    kept = _about_its_peak(two, WIDTH).reshape(HEIGHT, WIDTH)
    assert kept[1, 1] > 0.999
    assert kept[4, 6] == 0


def two_things(head, columns):
    """Maps (1, …) on which two cells of the third row call for attention just as loudly."""
    fine = torch.zeros(1, 4, HEIGHT, WIDTH)
    fine[0, 0, 2, columns] = 1.0
    with torch.no_grad():
        head.vote.weight.zero_()
        head.vote.bias.zero_()
        head.vote.weight[0, 0] = 40.0
    return Maps(fine, torch.zeros(1, 4, HEIGHT // 2, WIDTH // 2))


def place(head, maps):
    return (head(maps, torch.zeros(1, 2)).pixel / STRIDE)[0].tolist()


def test_between_two_things_there_is_none_once_trained():
    """In training the place is the mean, through which both learn; after it, one of them."""
    head = PlaceHead(4, 4, 8, presence=0.0)
    far = two_things(head, [1, 6])
    assert place(head.train(), far) == pytest.approx([4.0, 2.5])
    assert place(head.eval(), far) == pytest.approx([1.5, 2.5])
    near = two_things(head, [3, 4])  # one thing over two cells stays one
    assert place(head.train(), near) == pytest.approx([4.0, 2.5])
    assert place(head.eval(), near) == pytest.approx([4.0, 2.5])
