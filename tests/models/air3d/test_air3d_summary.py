"""The numbers about an object found in space are those of what is seen of it."""

import pytest
import torch

from inverse_graphics.models.air3d.inference import STATISTICS, object_summaries


@pytest.fixture
def scene():
    """A red square and half of a blue one, drawn as they are but for a stripe beside the red one."""
    image = torch.full((1, 3, 24, 24), 0.5)
    visible = torch.zeros(1, 2, 24, 24)
    visible[0, 0, 2:8, 2:8] = 1
    visible[0, 1, 14:20, 14:20] = 0.5
    drawn = image.clone()
    for slot, colour in enumerate([(0.9, 0.1, 0.1), (0.1, 0.1, 0.9)]):
        share = visible[0, slot]
        drawn = drawn * (1 - share) + torch.tensor(colour)[:, None, None] * share
    image = drawn.clone()
    image[0, :, 2:8, 8:10] = 0.0
    return image, drawn, visible


def named(summaries):
    return [dict(zip(STATISTICS, row.tolist(), strict=True)) for row in summaries[0]]


def test_colours_are_means_over_what_is_seen(scene):
    red, blue = named(object_summaries(*scene))
    assert (red["red"], red["green"]) == pytest.approx((0.9, 0.1), abs=0.02)
    assert (blue["blue"], blue["red"]) == pytest.approx((0.7, 0.3), abs=0.03)
    assert all(
        abs(one[f"{colour} error"]) < 0.02 for one in (red, blue) for colour in ("red", "green", "blue")
    )


def test_errors_count_where_they_are(scene):
    image, drawn, visible = scene
    red, blue = named(object_summaries(image, drawn, visible))
    assert red["error around"] > red["error inside"] > blue["error inside"]
    assert red["error around"] - blue["error around"] > 2
    assert red["error elsewhere"] == pytest.approx(blue["error elsewhere"])
    everywhere = named(object_summaries(1 - image, drawn, visible))
    assert everywhere[1]["error inside"] > blue["error inside"] + 2


def test_size_is_the_root_of_the_area(scene):
    red, blue = named(object_summaries(*scene))
    assert red["size"] - blue["size"] == pytest.approx(0.5 * torch.log(torch.tensor(36.5 / 18.5)).item())


def test_noise_counts_little_and_what_hides_itself_is_finite(scene):
    _, drawn, visible = scene
    noise = 0.05 * torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))
    clean, noisy = (object_summaries(image, drawn, visible) for image in (drawn, drawn + noise))
    assert (clean - noisy).abs().max() < 0.6
    assert object_summaries(drawn, drawn, torch.zeros_like(visible)).isfinite().all()
    assert object_summaries(drawn, drawn, torch.ones_like(visible)).isfinite().all()
