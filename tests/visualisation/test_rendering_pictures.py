"""The pictures of the documentation show what they say."""

from itertools import pairwise

import numpy as np
from PIL import Image

from inverse_graphics.visualisation.documentation import (
    draw_rendering_figures,
    layers_and_prefixes,
    mug_and_slopes,
)


def test_the_last_composite_holds_what_each_layer_shows_alone():
    alone, prefixes = layers_and_prefixes(side=40)
    assert len(alone) == 3
    assert len(prefixes) == 4
    for before, after in pairwise(prefixes):
        assert 0 < (np.abs(after - before).max(axis=2) > 0.02).mean() < 0.3


def test_the_gradient_of_each_pixel_is_near_its_difference():
    image, alpha, slope, difference = mug_and_slopes(side=24)
    assert image.shape == (24, 24, 3)
    assert 0.1 < alpha.mean() < 0.5
    cosine = (slope * difference).sum() / np.sqrt((slope**2).sum() * (difference**2).sum())
    assert cosine > 0.8
    assert (slope[alpha == 0] == 0).mean() > 0.9


def test_both_pictures_are_small(tmp_path):
    draw_rendering_figures(tmp_path)
    for name in ("layers.png", "gradient.png"):
        assert (tmp_path / name).stat().st_size < 60_000
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100
