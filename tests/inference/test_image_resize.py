"""Resized images: every point keeps its place, and nothing is lost or invented on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inverse_graphics.inference.image_resize import ImageResize, resize_to_colour, resize_to_grey

SIZES = [(50, 50), (100, 100), (200, 80), (30, 120), (400, 16), (20, 30)]


def blob(height, width, row, column):
    """White around one point, black elsewhere."""
    image = np.zeros((height, width, 3), np.float32)
    reach = min(height, width) // 20
    image[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 1
    return image


def assert_kept(image, model_image, resize):
    assert model_image.shape == (50, 50)
    rows, columns = np.meshgrid(np.arange(50) + 0.5, np.arange(50) + 0.5, indexing="ij")
    weight = model_image / model_image.sum()
    x, y, _, _ = resize.box_in_image(((weight * columns).sum(), (weight * rows).sum(), 0, 0))
    expected = np.argwhere(image[..., 0]).mean(0) + 0.5
    assert (x, y) == pytest.approx((expected[1], expected[0]), abs=1 / resize.scale)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_point_keeps_its_place(height, width):
    image = blob(height, width, height // 2, width // 3)
    model_image, resize = resize_to_grey(image, 50)
    assert_kept(image, model_image[0].numpy(), resize)
    image = blob(height, width, height // 2 - min(height, width) // 4, width // 2 + min(height, width) // 5)
    model_image, resize = resize_to_colour(image, 50)
    assert_kept(image, model_image[1].numpy(), resize)


def test_the_whole_image_is_the_box_of_its_resize():
    _, resize = resize_to_grey(np.zeros((60, 120, 3), np.float32), 50)
    assert resize.box_in_image((0, resize.top, 50, 25)) == pytest.approx((0, 0, 120, 60), abs=1.3)
    _, resize = resize_to_colour(np.zeros((60, 120, 3), np.float32), 50)
    assert resize.box_in_image((0, 0, 50, 50)) == pytest.approx((30, 0, 60, 60))


def test_colour_becomes_grey_and_shrinking_keeps_the_mean():
    image = np.random.default_rng(0).random((200, 200, 3)).astype(np.float32)
    model_image, _ = resize_to_grey(image, 50)
    assert model_image.mean().item() == pytest.approx((image @ [0.299, 0.587, 0.114]).mean(), abs=2e-3)


def test_a_pixel_is_the_mean_of_what_it_covers():
    image = np.random.default_rng(1).random((192, 192, 3)).astype(np.float32)
    model_image, _ = resize_to_colour(image, 64)
    means = image.reshape(64, 3, 64, 3, 3).mean((1, 3))
    np.testing.assert_allclose(model_image.permute(1, 2, 0), means, atol=1e-6)


def test_an_image_of_the_model_s_size_stays_as_it_is():
    image = np.random.default_rng(2).random((64, 64, 3)).astype(np.float32)
    np.testing.assert_array_equal(resize_to_colour(image, 64)[0].permute(1, 2, 0), image)


@given(st.integers(1, 150), st.integers(1, 150))
def test_the_mean_of_the_middle_square_is_kept(height, width):
    image = np.random.default_rng(height * 1000 + width).random((height, width, 3)).astype(np.float32)
    model_image, _ = resize_to_colour(image, 32)
    side = min(height, width)
    top, left = (height - side) / 2, (width - side) / 2
    if side >= 32 and top.is_integer() and left.is_integer():
        middle = image[int(top) : int(top) + side, int(left) : int(left) + side]
        np.testing.assert_allclose(model_image.mean((1, 2)), middle.mean((0, 1)), rtol=1e-4)
    even, _ = resize_to_colour(np.full((height, width, 3), 0.3, np.float32), 32)
    np.testing.assert_allclose(even, 0.3, atol=1e-5)


def test_enlarging_is_linear_between_the_middles_of_pixels():
    image = np.tile(np.linspace(0, 1, 10, dtype=np.float32)[None, :, None], (10, 1, 3))
    model_image, _ = resize_to_colour(image, 40)
    steps = model_image[0, 20, 2:38].diff()
    np.testing.assert_allclose(steps, 1 / 9 / 4, atol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (640, 480), (37, 121)])
def test_intrinsics_project_to_the_same_place_in_both_images(width, height):
    resize = ImageResize.covering(width, height, 64)
    K = ((100.0, 0.0, 31.0), (0.0, 90.0, 33.0), (0.0, 0.0, 1.0))
    points = np.array([[0.1, -0.2, 1.5], [0.0, 0.3, 0.7]])
    at_model_size, in_image = (
        (p @ np.array(k).T)[:, :2] / p[:, 2:]
        for p, k in [(points, K), (points, resize.intrinsics_in_image(K))]
    )
    np.testing.assert_allclose(in_image * resize.scale + [resize.left, resize.top], at_model_size)
