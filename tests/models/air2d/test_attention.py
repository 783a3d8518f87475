"""Windows against torch's general sampler, and where they lie."""

import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample

from inverse_graphics.models.air2d.attention import read_window, window_box, write_window


def random_case(seed, batch=6):
    generator = torch.Generator().manual_seed(seed)
    inverse_scale = 0.7 + 4 * torch.rand(batch, 1, generator=generator, dtype=torch.float64)
    centre = 1.2 * (2 * torch.rand(batch, 2, generator=generator, dtype=torch.float64) - 1)
    where = torch.cat([inverse_scale, centre], -1)
    return torch.rand(batch, 20, 24, generator=generator, dtype=torch.float64), where


def reference(images, where, height, width, inverse):
    """The same window through affine_grid and grid_sample (align_corners=False, zeros outside)."""
    s, x, y = where.unbind(-1)
    zero = torch.zeros_like(s)
    rows = [s, zero, -x * s, zero, s, -y * s] if inverse else [1 / s, zero, x, zero, 1 / s, y]
    theta = torch.stack(rows, -1).reshape(-1, 2, 3)
    grid = affine_grid(theta, [len(images), 1, height, width], align_corners=False)
    return grid_sample(images[:, None], grid, align_corners=False, padding_mode="zeros")[:, 0]


@pytest.mark.parametrize("seed", range(4))
def test_reading_equals_the_general_sampler(seed):
    images, where = random_case(seed)
    expected = reference(images, where, 9, 9, inverse=False)
    assert torch.allclose(read_window(images, where, 9), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_writing_equals_the_general_sampler(seed):
    images, where = random_case(seed)
    glimpses = images[:, :9, :9]
    expected = reference(glimpses, where, 20, 24, inverse=True)
    assert torch.allclose(write_window(glimpses, where, 20, 24), expected, atol=1e-12)


def test_gradients_equal_finite_differences():
    images, where = random_case(7, batch=2)
    where = where.requires_grad_()
    images = images.requires_grad_()
    assert torch.autograd.gradcheck(lambda i, w: read_window(i, w, 5), (images, where))
    assert torch.autograd.gradcheck(lambda i, w: write_window(i[:, :5, :5], w, 12, 12), (images, where))


def test_a_white_glimpse_fills_its_box():
    where = torch.tensor([[2.5, 0.2, -0.4]])
    image = write_window(torch.ones(1, 28, 28), where, 50, 50)[0]
    x, y, width, height = window_box(where, 50, 50)[0].tolist()
    rows, columns = torch.nonzero(image > 0.99, as_tuple=True)
    assert (width, height) == pytest.approx((20, 20))
    assert columns.min() == pytest.approx(x, abs=1)
    assert columns.max() + 1 == pytest.approx(x + width, abs=1)
    assert rows.min() == pytest.approx(y, abs=1)
    assert rows.max() + 1 == pytest.approx(y + height, abs=1)
