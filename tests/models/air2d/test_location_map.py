"""The map of what is where: its places, and what attention to one of them gives."""

import pytest
import torch
from torch.nn.functional import conv2d, pad

from inverse_graphics.models.air2d.attention import CELL, LEAST, LocationAttention, LocationMap, salience


@pytest.fixture(params=[50, 16, 29, 8])
def size(request):
    return request.param


def made(size, channels=5, query=7):
    with torch.random.fork_rng():
        torch.manual_seed(size)
        return LocationMap(channels).double(), LocationAttention(size, channels, query).double()


def random_images(size):
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)


def test_it_sees_what_a_strided_convolution_of_the_image_sees(size):
    """One of 8 × 8 pixels at every fourth, with two of margin; then all around."""
    (model, attention), images = made(size), random_images(size)
    kernel = model.near.weight.reshape(-1, 1, CELL, CELL, 2, 2).permute(0, 1, 4, 2, 5, 3)
    kernel = kernel.reshape(-1, 1, 2 * CELL, 2 * CELL)
    after = -(size + 2) % CELL
    near = conv2d(pad(images[:, None], (2, after, 2, after)), kernel, model.near.bias, stride=CELL)
    expected = torch.relu(model.around(torch.relu(near))).flatten(2)
    assert model(images).shape[-1] == attention.places.shape[-1]
    torch.testing.assert_close(model(images), expected)


def test_places_are_where_what_is_seen_there_is(size):
    """What lies around a place's centre changes what is seen there, and nothing else does."""
    (model, attention), images = made(size), random_images(size).requires_grad_()
    seen = model(images)
    pixels = (torch.arange(size) + 0.5) * (2 / size) - 1
    reach = 2 * CELL * (2 / size) + 1e-6  # its own four cells, and one more on each side
    for place in range(0, seen.shape[-1], 5):
        (slope,) = torch.autograd.grad(seen[..., place].sum(), images, retain_graph=True)
        x, y = attention.places[:, place]
        near = ((pixels - x).abs() < reach)[None, :] & ((pixels - y).abs() < reach)[:, None]
        assert (slope[:, ~near] == 0).all()
        assert (slope[:, near] != 0).any()


def test_attention_gives_the_place_that_is_wanted_and_what_is_seen_there():
    (model, attention), images = made(50), random_images(50)
    seen = model(images)
    with torch.no_grad():
        seen[:, 0] = 0
        seen[0, 0, 17] = seen[1, 0, 60] = seen[2, 0, 100] = 1
        attention.query.weight.zero_()
        attention.query.bias.copy_(torch.tensor([1000.0, 0, 0, 0, 0, 0, 0]))
    centre, there = attention(seen, torch.zeros(3, 7).double())
    rows, chosen = torch.arange(3), torch.tensor([17, 60, 100])
    torch.testing.assert_close(centre, attention.places[:, chosen].T)
    torch.testing.assert_close(there, seen[rows, :, chosen])


def test_of_objects_alike_the_one_in_the_wanted_direction_is_attended():
    _, attention = made(50)
    with torch.no_grad():
        attention.query.weight.zero_()
        attention.query.bias.copy_(torch.tensor([0.0, 0, 0, 0, 0, -1000, 0]))
    centre, _ = attention(torch.zeros(1, 5, attention.places.shape[1]).double(), torch.zeros(1, 7).double())
    torch.testing.assert_close(centre[0, 0], attention.places[0].min(), rtol=0, atol=1e-6)


def test_of_objects_alike_one_is_attended_and_not_what_lies_between():
    _, attention = made(50)
    seen = torch.zeros(1, 5, attention.places.shape[1], dtype=torch.float64)
    one, other = 2 * 12 + 3, 9 * 12 + 8  # in rows of twelve
    seen[0, 0, [one, other]] = 1
    with torch.no_grad():
        attention.query.weight.zero_()
        attention.query.bias.copy_(torch.tensor([5.0, 0, 0, 0, 0, 0, 0]))
    centre, there = attention(seen, torch.zeros(1, 7).double())
    nearest = (attention.places.mT - centre).abs().amax(1).argmin()
    assert nearest in (one, other)
    assert (attention.places[:, nearest] - centre[0]).abs().max() < attention.cell / 2
    assert there[0, 0] > 0.9


def test_a_place_is_reported_as_a_mean_over_its_neighbours_only():
    """Against a slow reference, a place at the rim included, and gradients against finite differences."""
    (model, attention), images = made(29), random_images(29)
    wanted = torch.randn(3, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    seen = model(images)
    centre, there = attention(seen, wanted)
    side = round(seen.shape[-1] ** 0.5)
    for row in range(3):
        what, direction = attention.query(wanted[row]).split([5, 2])
        scores = what @ seen[row] + direction @ attention.places
        best_y, best_x = divmod(int(scores.argmax()), side)
        near = [
            y * side + x
            for y in range(max(best_y - 1, 0), min(best_y + 2, side))
            for x in range(max(best_x - 1, 0), min(best_x + 2, side))
        ]
        weights = torch.softmax(scores[near], 0)
        torch.testing.assert_close(centre[row], attention.places[:, near] @ weights)
        torch.testing.assert_close(there[row], seen[row][:, near] @ weights)
    assert torch.autograd.gradcheck(attention, (seen.detach().requires_grad_(), wanted.requires_grad_()))


def test_salience_is_the_mean_square_of_the_pixels_about_a_place(size):
    (_, attention), images = made(size), random_images(size)
    images[0] = 0
    pixels = (torch.arange(size) + 0.5) * (2 / size) - 1
    scores = salience(images)
    for place in range(0, scores.shape[-1], 3):
        x, y = attention.places[:, place]
        near = ((pixels - y).abs() < attention.cell)[:, None] & ((pixels - x).abs() < attention.cell)
        squares = images[:, near].square().sum(-1) / (2 * CELL) ** 2  # beyond the image there is nothing
        torch.testing.assert_close(scores[:, place], torch.log(squares + LEAST))


def test_what_is_added_to_scores_moves_attention():
    (model, attention), images = made(29), random_images(29)
    bias = torch.zeros(3, attention.places.shape[1], dtype=torch.float64)
    bias[:, 11] = 1000
    torch.testing.assert_close(
        attention(model(images), torch.zeros(3, 7).double(), bias=bias).centre,
        attention.places[:, 11].expand(3, 2),
    )


def test_of_the_place_something_else_than_what_it_was_chosen_by_may_be_returned():
    (model, attention), images = made(29), random_images(29)
    wanted = torch.randn(3, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    seen = model(images)
    chosen, scores = attention(seen, wanted), attention(seen, wanted, torch.cat([seen, seen.square()], 1))
    assert torch.equal(chosen.centre, scores.centre)
    torch.testing.assert_close(scores.features[:, :5], chosen.features)
    assert not torch.allclose(scores.features[:, 5:], scores.features[:, :5])
