"""Where a step looks."""

import pytest
import torch

from inverse_graphics.models.air3d.features import STRIDE, Maps
from inverse_graphics.models.air3d.heads import PlaceHead

HEIGHT, WIDTH = 6, 8


def attentive_head():
    """Attends to cells by the first channel alone; each votes for its own centre moved by the others."""
    head = PlaceHead(4, 4, 8, presence=0.0)
    with torch.no_grad():
        head.vote.weight.zero_()
        head.vote.bias.zero_()
        for channel, factor in enumerate((40.0, 1.0, 1.0)):
            head.vote.weight[channel, channel] = factor
    return head


def place(head, fine):
    """In cells."""
    maps = Maps(fine[None], torch.zeros(1, 4, HEIGHT // 2, WIDTH // 2))
    return (head(maps, torch.zeros(1, 2)).pixel[0] / STRIDE).tolist()


@pytest.mark.parametrize("training", [True, False])
def test_a_place_is_what_the_cells_attended_to_vote_for(training):
    """One cell's vote, in columns and rows from its centre; of two alike, the mean."""
    head, fine = attentive_head().train(training), torch.zeros(4, HEIGHT, WIDTH)
    fine[0, 2, 5] = 1.0
    assert place(head, fine) == pytest.approx([5.5, 2.5])
    fine[1, 2, 5], fine[2, 2, 5] = -1.25, 0.5
    assert place(head, fine) == pytest.approx([4.25, 3.0])
    fine[0, 4, 1] = 1.0
    assert place(head, fine) == pytest.approx([(4.25 + 1.5) / 2, (3.0 + 4.5) / 2])
