import numpy as np
import pytest
from PIL import ImageColor

from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.visualisation.overlay import CELL, contact_sheet, draw_parse
from inverse_graphics.visualisation.svg import STEP_COLOURS, depth_colours, depth_range, step_colour


def parse_with(boxes, size=(40, 60)) -> Parse:
    blank = np.zeros((*size, 3), np.float32)
    return Parse(
        image="a.png",
        model="m",
        count=len(boxes),
        count_probabilities=(0.0,) * len(boxes) + (1.0,),
        log_likelihood=0.0,
        warning=None,
        objects=tuple(ParsedObject(box_px=box) for box in boxes),
        camera=None,
        observation=blank,
        reconstruction=blank,
        prefixes=np.stack([blank] * (len(boxes) + 1)),
    )


def test_each_box_is_drawn_where_it_is_in_its_step_s_colour():
    boxes = [(5.0, 6.0, 10.0, 12.0), (30.0, 20.0, 20.0, 10.0)]
    picture = np.asarray(draw_parse(np.zeros((40, 60, 3), np.float32), parse_with(boxes)))
    factor = picture.shape[0] // 40
    assert picture.shape == (40 * factor, 60 * factor, 3)
    for step, (x, y, width, height) in enumerate(boxes):
        rows, columns = np.nonzero((picture == ImageColor.getrgb(step_colour(step))).all(-1))
        assert abs(rows.max() - (y + height) * factor) <= 1
        assert abs(columns.min() - x * factor) <= 1
        assert abs(columns.max() - (x + width) * factor) <= 1
        middle = picture[int((y + height / 2) * factor), int((x + width / 2) * factor)]
        assert not middle.any()


def test_without_objects_the_picture_is_the_image():
    image = np.random.default_rng(0).random((500, 400, 3), np.float32)
    np.testing.assert_array_equal(np.asarray(draw_parse(image, parse_with([]))), np.rint(image * 255))


@pytest.mark.parametrize(
    "box", [(-30.0, -30.0, 500.0, 500.0), (59.0, 39.0, 0.0, 0.0), (10.0, 10.0, -3.0, 2.0)]
)
def test_boxes_that_leave_the_image_or_have_no_area_do_not_fail(box):
    assert draw_parse(np.zeros((40, 60, 3), np.float32), parse_with([box] * 12)).size[0] > 0


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_a_contact_sheet_shows_every_picture_once(count):
    pictures = []
    for index in range(count):
        image = np.full((30, 30 + index, 3), (index + 1) / 20, np.float32)
        pictures.append(
            (
                f"a very long name of a file, much too long for its cell, {index}",
                draw_parse(image, parse_with([])),
            )
        )
    sheet = np.asarray(contact_sheet(pictures))
    for index in range(count):
        grey = (sheet == round((index + 1) / 20 * 255)).all(-1).sum()
        assert grey == pytest.approx(CELL * CELL * 30 / (30 + index), rel=0.05)


def test_steps_differ_in_colour_and_go_round():
    assert len({step_colour(step) for step in range(len(STEP_COLOURS))}) == len(STEP_COLOURS)
    assert step_colour(len(STEP_COLOURS)) == step_colour(0)


def test_nearer_is_brighter_and_nothing_is_grey():
    depth = np.array([[0.5, 0.7, 0.9, np.inf]])
    colours = depth_colours(depth)
    assert colours.shape == (1, 4, 3)
    luminance = colours @ np.array([0.21, 0.72, 0.07])
    assert luminance[0, 0] > luminance[0, 1] > luminance[0, 2]
    assert np.ptp(colours[0, 3]) == 0
    assert depth_range(depth) == (0.5, 0.9)


@pytest.mark.parametrize("value", [np.inf, 0.7])
def test_a_depth_without_extent_does_not_divide_by_zero(value):
    assert np.isfinite(depth_colours(np.full((3, 3), value))).all()
