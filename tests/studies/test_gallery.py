"""The gallery: where each picture stands, and what the difference shows."""

import numpy as np
import pytest

from inverse_graphics.io.images import to_bytes
from inverse_graphics.studies.gallery import GAP, HEAD, ROWS, SIDE, TEXT, GalleryRow, difference, draw_gallery


def rows(count: int, size: int) -> list[GalleryRow]:
    numbers = np.random.default_rng(count)
    pictures = numbers.random((count, 2, size, size, 3), np.float32)
    return [
        GalleryRow(image, drawn, "title", ("a note",), index % 2 == 0)
        for index, (image, drawn) in enumerate(pictures)
    ]


@pytest.mark.parametrize(("count", "size"), [(1, 32), (5, 64), (30, 100), (3, 200)])
def test_each_picture_stands_in_its_place(count, size):
    some = rows(count, size)
    sheet = np.asarray(draw_gallery(some, "title", "subtitle"))
    side = size * -(-SIDE // size)
    shown = min(count, ROWS)
    deep = shown if shown == 1 else -(-shown // 2)
    for index, row in enumerate(some[:shown]):
        column, down = divmod(index, deep)
        top = HEAD + down * (side + GAP)
        left = GAP + column * (3 * (side + GAP) + TEXT + 2 * GAP)
        pictures = (row.image, row.reconstruction, difference(row.image, row.reconstruction))
        for place, picture in enumerate(pictures):
            x = left + place * (side + GAP)
            large = to_bytes(picture).repeat(side // size, 0).repeat(side // size, 1)
            np.testing.assert_array_equal(sheet[top : top + side, x : x + side], large)
    assert sheet.shape[0] == HEAD + deep * (side + GAP) + GAP


def test_more_rows_than_there_is_room_for_are_left_out():
    many, few = rows(ROWS + 6, 32), rows(ROWS + 6, 32)[:ROWS]
    assert draw_gallery(many, "t", "s").tobytes() == draw_gallery(few, "t", "s").tobytes()
    assert draw_gallery([], "t", "s").size[1] > HEAD


def test_the_difference_is_grey_where_there_is_none():
    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    np.testing.assert_allclose(difference(image, image), 0.5, atol=1e-6)
    np.testing.assert_allclose(difference(image, image - 0.25), 0.75, atol=1e-6)
    assert difference(image + 5, image).max() == 1


def test_words_stay_beside_their_own_pictures():
    """However much there is to say, the next row's place stays as it is without."""
    short = [
        GalleryRow(np.zeros((64, 64, 3), np.float32), np.zeros((64, 64, 3), np.float32), "t", (), False)
    ] * 3
    long = [GalleryRow(row.image, row.reconstruction, "t", ("words " * 200,), False) for row in short]
    quiet, loud = (np.asarray(draw_gallery(some, "t", "s")) for some in (short, long))
    beyond = HEAD + SIDE  # the gap below the first row
    np.testing.assert_array_equal(quiet[beyond : beyond + GAP], loud[beyond : beyond + GAP])
    assert (quiet != loud).any()
