"""Where a step looks."""

import math

import pytest
import torch

from inverse_graphics.models.air3d.features import STRIDE, Maps
from inverse_graphics.models.air3d.posterior import MODE_RADIUS, LocationHead

HEIGHT, WIDTH = 6, 8


def attentive_head():
    """Attends to cells by the first channel alone; each votes for its own centre moved by the others."""
    head = LocationHead(4, 4, 8, presence=0.0)
    with torch.no_grad():
        head.vote.weight.zero_()
        torch.nn.init.zeros_(head.vote.bias)  # type: ignore[arg-type]
        for channel, factor in enumerate((40.0, 1.0, 1.0)):
            head.vote.weight[channel, channel] = factor
    return head


def place(head, fine):
    """In cells."""
    maps = Maps(fine[None], torch.zeros(1, 4, HEIGHT // 2, WIDTH // 2))
    return (head(maps, torch.zeros(1, 2)).pixel[0] / STRIDE).tolist()


@pytest.fixture
def votes():
    """Ways to fill a fine map with cells that are attended to, and what they vote for."""
    fine = torch.zeros(4, HEIGHT, WIDTH)

    def vote(row, column, at, attention=1.0):
        offset = torch.tensor(at) - torch.tensor([column + 0.5, row + 0.5])
        fine[:3, row, column] = torch.tensor([attention, *offset])

    return fine, vote


@pytest.mark.parametrize("training", [True, False])
def test_a_place_is_what_the_cells_attended_to_vote_for(training, votes):
    """One cell's vote, in columns and rows; of two that agree, the mean, by how much each is attended to."""
    head, (fine, vote) = attentive_head().train(training), votes
    fine[0, 2, 5] = 1.0
    assert place(head, fine) == pytest.approx([5.5, 2.5])  # its own centre
    vote(2, 5, at=(4.25, 3.0))
    assert place(head, fine) == pytest.approx([4.25, 3.0])
    vote(4, 1, at=(3.25, 3.5))
    assert place(head, fine) == pytest.approx([3.75, 3.25])
    vote(4, 1, at=(3.25, 3.5), attention=1 + math.log(3) / 40)
    assert place(head, fine) == pytest.approx([3.5, 3.375])


def test_in_training_votes_for_two_places_are_for_neither(votes):
    fine, vote = votes
    vote(2, 5, at=(6.0, 2.0))
    vote(4, 1, at=(1.0, 5.0))
    assert place(attentive_head().train(), fine) == pytest.approx([3.5, 3.5])


def two_clusters(vote):
    """Three cells for about (6, 2), and two for about (1, 5), the second place's less attended to."""
    for cell, at in {(1, 5): (6.0, 2.0), (2, 6): (6.2, 2.1), (3, 6): (5.8, 1.9)}.items():
        vote(*cell, at=at)
    for cell, at in {(4, 1): (1.0, 5.0), (5, 2): (1.2, 4.8)}.items():
        vote(*cell, at=at, attention=1 - math.log(2) / 40)


def test_once_trained_a_place_is_in_the_larger_of_two_clusters_of_votes(votes):
    """The most attended cell is in it. It is as if there were no other, and not between, as in training."""
    fine, vote = votes
    two_clusters(vote)
    assert place(attentive_head().eval(), fine) == pytest.approx([6.0, 2.0], abs=1e-5)
    between = [(3 * 6.0 + 1.1) / 4, (3 * 2.0 + 4.9) / 4]
    assert place(attentive_head().train(), fine) == pytest.approx(between, abs=1e-5)


def test_once_trained_what_is_seen_is_that_of_the_cells_that_agree(votes):
    """The other place's features count nothing, in training they do."""
    fine, vote = votes
    two_clusters(vote)
    other = fine.clone()
    other[3, 4:, :3] = 5.0
    around = torch.zeros(1, 4, HEIGHT // 2, WIDTH // 2), torch.zeros(1, 2)
    for training in (False, True):
        head = attentive_head().train(training)
        one, two = (head(Maps(map_[None], around[0]), around[1]).features for map_ in (fine, other))
        assert torch.allclose(one, two, atol=1e-6) == (not training)


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_votes_agree_up_to_a_distance(share, votes):
    fine, vote = votes
    vote(2, 4, at=(4.0, 2.0), attention=1 + math.log(2) / 40)
    vote(3, 4, at=(4.0, 2.0 + share * MODE_RADIUS))
    expected = 2.0 + (share * MODE_RADIUS / 3 if share < 1 else 0.0)
    assert place(attentive_head().eval(), fine) == pytest.approx([4.0, expected], abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_of_any_votes_those_count_that_agree_with_the_first(seed):
    """Each image for itself; compared with a loop over cells."""
    fine = torch.randn(5, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    fine[:, 0] *= 0.05
    fine[:, 0, 2:4] += 0.1  # the first is not at the edge
    head = attentive_head().eval()
    pixels = head(Maps(fine, torch.zeros(5, 4, HEIGHT // 2, WIDTH // 2)), torch.zeros(5, 2)).pixel
    for image, pixel in zip(fine.double(), pixels, strict=True):
        cells = [(row, column) for row in range(HEIGHT) for column in range(WIDTH)]
        at = {(r, c): (c + 0.5 + float(image[1, r, c]), r + 0.5 + float(image[2, r, c])) for r, c in cells}
        first = max(cells, key=lambda cell: image[(0, *cell)])
        heard = [cell for cell in cells if math.dist(at[cell], at[first]) <= MODE_RADIUS]
        assert 1 < len(heard) < len(cells)
        weight = [math.exp(40 * float(image[(0, *cell)])) for cell in heard]
        mean = [
            sum(w * at[c][axis] for w, c in zip(weight, heard, strict=True)) / sum(weight) for axis in (0, 1)
        ]
        assert (pixel / STRIDE).tolist() == pytest.approx(mean, abs=1e-4)
