"""The surrogate that compares images at several scales, against sums written out."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.observation.outliers import OutlierModel
from inverse_graphics.observation.student_t import StudentTModel


def pyramid(sigma, levels, image, render):
    return GaussianModel(sigma).pyramid(levels).log_prob(Observation(image), Rendered(render))


def pictures(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def halved(picture):
    """(C, H, W) half as wide: means of windows 4 pixels wide, 2 apart, as far as they are in the picture."""
    _, height, width = picture.shape
    rows = [
        torch.stack(
            [
                picture[:, max(top, 0) : top + 4, max(left, 0) : left + 4].mean((1, 2))
                for left in range(-1, width - 2, 2)
            ],
            -1,
        )
        for top in range(-1, height - 2, 2)
    ]
    return torch.stack(rows, -2)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_pyramid_is_the_mean_over_levels_weighed_by_the_size_of_their_pixels(levels):
    image, render = pictures(3, 16, 8), pictures(3, 16, 8, seed=1)
    exponent, off = 0.0, image - render
    for level in range(levels):
        off = halved(off) if level else off
        exponent += 4**level * float(off.square().sum()) / levels
    expected = -exponent / (2 * 0.3**2) - 3 * 16 * 8 * math.log(0.3 * math.sqrt(2 * math.pi))
    assert float(pyramid(0.3, levels, image, render)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("model", [GaussianModel(0.2), StudentTModel(0.2, 3.0), OutlierModel(0.2)])
def test_a_pyramid_of_one_level_is_the_models_own_log_probability(model):
    observation, renders = Observation(pictures(4, 1, 3, 8, 8)), Rendered(pictures(4, 5, 3, 8, 8, seed=1))
    one, other = (a.log_prob(observation, renders) for a in (model.pyramid(1), model))
    assert one.shape == (4, 5)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("model", [StudentTModel(0.05, 2.0), OutlierModel(0.05)])
def test_heavy_tails_are_heavy_at_every_level(model):
    """Where a block of the image is another thing altogether, the loss grows with its logarithm."""
    image = pictures(3, 16, 16)
    hidden = image.clone()
    hidden[:, :8, :8] += 1
    observation, off = Observation(image), []
    for surrogate in (model.pyramid(3), GaussianModel(0.05).pyramid(3)):
        right, wrong = (surrogate.log_prob(observation, Rendered(render)) for render in (image, hidden))
        off.append(float(right - wrong))
    assert off[0] < 0.1 * off[1]


def test_all_levels_weigh_as_much_as_one():
    """An error that is the same everywhere costs the same at every level."""
    image = pictures(3, 16, 16)
    values = [pyramid(0.1, levels, image, image + 0.05) for levels in range(1, 6)]
    torch.testing.assert_close(torch.stack(values), values[0].expand(5))


def disc(centre):
    """A bright disc, 8 pixels wide, in a dark picture (1, 64, 64)."""
    at = torch.arange(64, dtype=torch.float64) + 0.5
    far = ((at[None] - centre[0]).square() + (at[:, None] - centre[1]).square()).sqrt()
    return torch.sigmoid(2 * (4 - far))[None]


def pulls(likelihood, apart):
    """By how much of itself the slope points from discs to where they should be: from −1 to 1."""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(40):
        start = 20 + 24 * torch.rand(2, generator=generator, dtype=torch.float64)
        angle = 2 * math.pi * torch.rand((), generator=generator, dtype=torch.float64)
        direction = torch.stack([angle.cos(), angle.sin()])
        centre = start.requires_grad_()
        value = likelihood.log_prob(
            Observation(disc(start.detach() + apart * direction)), Rendered(disc(centre))
        )
        (slope,) = torch.autograd.grad(value, centre)
        found.append(float(slope @ direction / slope.norm()))
    return torch.tensor(found)


def test_a_pyramid_pulls_from_afar_to_where_objects_should_be():
    """From three radii off, wherever that is among the pixels; pixels alone let nothing be felt there."""
    assert (pulls(GaussianModel(0.05).pyramid(4), apart=13) > 0.9).all()
    assert (pulls(GaussianModel(0.05), apart=13) < 0.5).any()


def test_slopes_of_a_pyramid_are_those_of_its_differences():
    image, render = pictures(2, 1, 1, 8, 8), pictures(2, 2, 1, 8, 8, seed=1).requires_grad_()
    assert gradcheck(lambda drawn: pyramid(0.5, 3, image, drawn), (render,))
