"""The pixel likelihood against torch.distributions."""

import torch
from torch.distributions import Normal

from inverse_graphics.likelihood import GaussianLikelihood


def test_equals_the_sum_of_pixel_densities():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 1, 2, 4, 5, generator=generator, dtype=torch.float64)
    renders = torch.rand(3, 6, 2, 4, 5, generator=generator, dtype=torch.float64)
    expected = Normal(renders, 0.3).log_prob(image).sum((-1, -2, -3))
    assert torch.allclose(GaussianLikelihood(0.3).log_prob(image, renders), expected)
