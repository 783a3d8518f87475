"""Outlines go round what is seen of each object, and nothing else."""

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw

from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.rendering.rendered_scene import render as render_scene
from inverse_graphics.scene.scene import Scene
from inverse_graphics.scene.scene_file import load_scene
from inverse_graphics.visualisation import scene_outlines
from inverse_graphics.visualisation.overlay import _room, draw_parse
from inverse_graphics.visualisation.scene_outlines import draw_scene, outline
from inverse_graphics.visualisation.svg import step_colour


def filled(lines, width, height):
    """The pixels within closed lines, a line inside another being the border of a hole."""
    inside = np.zeros((height, width), bool)
    for line in lines:
        mask = Image.new("1", (width, height))
        ImageDraw.Draw(mask).polygon([(x - 0.5, y - 0.5) for x, y in line.tolist()], fill=1)
        inside ^= np.asarray(mask)
    return inside


@pytest.fixture(scope="module")
def breakfast() -> Scene:
    return load_scene("breakfast")


def test_outlines_hold_what_a_mask_shows_of_each_object(breakfast):
    camera = breakfast.camera.resized(320, 240)
    mask = render_scene(breakfast.model_copy(update={"camera": camera})).mask
    drawn = draw_scene(breakfast, 320, 240)
    assert len(drawn.outlines) == len(breakfast.objects) >= 3
    for number, lines in enumerate(drawn.outlines, start=1):
        seen, inside = mask == number, filled(lines, 320, 240)
        border = sum(len(line) for line in lines)
        assert (seen != inside).sum() <= 0.5 * border
        assert seen.sum() > 2 * border or not lines


def test_the_picture_is_that_of_the_scene(breakfast):
    camera = breakfast.camera.resized(160, 120)
    rendered = render_scene(breakfast.model_copy(update={"camera": camera}))
    np.testing.assert_allclose(draw_scene(breakfast, 160, 120).image, rendered.image, atol=1e-5)


def test_what_is_hidden_has_no_outline(breakfast):
    first = breakfast.objects[0]
    within = first.model_copy(update={"scale": 0.2})
    twice = breakfast.model_copy(update={"objects": (first, within.model_copy(update={"scale": 0.01}))})
    assert draw_scene(twice, 160, 120).outlines[1] == ()


def test_very_large_pictures_are_drawn_smaller_and_their_outlines_are_where_they_would_be(
    breakfast, monkeypatch
):
    small = draw_scene(breakfast, 320, 240)
    monkeypatch.setattr(scene_outlines, "LARGEST_SIDE", 160)
    large = draw_scene(breakfast, 320, 240)
    assert large.image.shape == (120, 160, 3)
    for one, other in zip(small.outlines, large.outlines, strict=True):
        assert np.abs(np.concatenate(one).min(0) - np.concatenate(other).min(0)).max() < 3
        assert np.abs(np.concatenate(one).max(0) - np.concatenate(other).max(0)).max() < 3


def test_an_outline_lies_where_half_a_pixel_is_covered():
    """A disc's is a circle, much closer than to the pixel."""
    y, x = np.mgrid[0:60, 0:80] + 0.5
    share = (20.2 + 0.5 - np.hypot(x - 41.3, y - 28.8)).clip(0, 1)
    (line,) = outline(share)
    assert np.abs(np.hypot(line[:, 0] - 41.3, line[:, 1] - 28.8) - 20.2).max() < 0.1
    assert (line[0] == line[-1]).all()


def test_an_outline_that_meets_the_picture_s_edge_runs_along_it():
    share = np.zeros((20, 30))
    share[:5, :8] = 1
    (line,) = outline(share)
    assert line.min() >= 0
    assert line.max(0) == pytest.approx((8, 5))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_labels_lie_within_the_picture_and_clear_of_each_other(count):
    taken: list[tuple[float, float, float, float]] = []
    for index in range(count):
        box = (90.0 + 3 * index, 80.0 - 2 * index, 25.0, 40.0)
        taken.append(_room(box, (60.0, 14.0), (200, 200), taken, 2.0))
    for index, (left, top, right, bottom) in enumerate(taken):
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 200
        for other in taken[:index]:
            assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]


def test_a_label_too_large_for_the_picture_does_not_fail():
    assert _room((0.0, 0.0, 5.0, 5.0), (300.0, 60.0), (50, 40), [], 2.0)[:2] == (0.0, 0.0)


def test_the_overlay_has_each_object_s_colour_and_the_reconstruction_beside_it(breakfast):
    camera = breakfast.camera.resized(400, 300)
    scene = breakfast.model_copy(update={"camera": camera})
    image = render_scene(scene).image
    objects = tuple(
        ParsedObject(box_px=(10.0, 10.0, 20.0, 20.0), identity=placed.asset, identity_probability=0.5)
        for placed in scene.objects
    )
    parse = Parse("a", "m", len(objects), (1.0,), 0.0, None, objects, None, image, image, image[None], scene)
    picture = np.asarray(draw_parse(image, parse)).astype(int)
    assert picture.shape[0] == 300
    assert picture.shape[1] > 800
    beside = picture[:, -400:] / 255
    assert np.abs(beside - image).max() < 0.01
    for step, _ in enumerate(objects):
        found = np.abs(picture[:, :400] - ImageColor.getrgb(step_colour(step))).max(-1) < 8
        assert found.sum() > 50
        assert not (np.abs(picture[:, -400:] - ImageColor.getrgb(step_colour(step))).max(-1) < 8).sum() > 20
