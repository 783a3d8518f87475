"""Sprites, dSprites' shapes and Omniglot's letters: what is known of each holds."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from inverse_graphics.data.dsprites import dsprites_glyphs
from inverse_graphics.data.glyphs import Split
from inverse_graphics.data.omniglot import missing_files, omniglot_glyphs
from inverse_graphics.data.sources import MultiMnistData, MultiObjectData, open_streams
from inverse_graphics.data.sprites import SHAPES, sample_sprites, sprite_glyphs

READ = TypeAdapter(MultiObjectData).validate_python


def apart(split: Split, *but: int) -> bool:
    """Whether no image is in two parts, some labels apart."""
    parts = [{image.tobytes() for image in part.images[~np.isin(part.labels, but)]} for part in split]
    return not any(parts[a] & parts[b] for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sprite_has_its_shapes_area(shape: str) -> None:
    """Of the circle about it: a square 2/π, a triangle 3√3/4π, a disc all."""
    sprites = sample_sprites(600, np.random.default_rng(3))
    chosen = sprites.images[sprites.labels == SHAPES.index(shape)] / 255
    y, x = np.mgrid[:20, :20] + 0.5 - 10
    radius = np.array([np.hypot(x, y)[image > 0].max() for image in chosen])
    filled = {"square": 2 / np.pi, "triangle": 3 * np.sqrt(3) / (4 * np.pi), "disc": 1.0}[shape]
    area = chosen.sum(axis=(1, 2)) / (np.pi * radius**2)
    assert np.median(area) == pytest.approx(filled, rel=0.12)


def test_sprites_are_the_same_each_time_and_never_touch_the_edge() -> None:
    first, again = sprite_glyphs(), sprite_glyphs()
    assert np.array_equal(first.train.images, again.train.images)
    edges = [first.train.images[:, 0], first.train.images[:, :, -1]]
    assert not any(edge.any() for edge in edges)


def test_all_of_dsprites_shapes_are_there_once() -> None:
    split = dsprites_glyphs()
    labels = np.concatenate([part.labels for part in split])
    assert np.bincount(labels).tolist() == [240, 240, 240]
    assert {int(value) for part in split for value in np.unique(part.images)} == {0, 255}
    areas = [np.unique((part.images > 0).sum(axis=(1, 2))) for part in split]
    assert min(map(min, areas)) > 20


def test_letters_that_ship_are_divided_by_who_drew_them() -> None:
    split = omniglot_glyphs("shipped")
    assert [len(part) for part in split] == [816, 136, 408]
    assert apart(split)
    for part in split:
        assert set(part.labels) == set(range(136))
        assert 0.01 < (part.images > 127).mean() < 0.2


@pytest.mark.skipif(bool(missing_files()), reason="Omniglot is not on this machine")
def test_published_letters_hold_those_that_ship() -> None:
    full, shipped = omniglot_glyphs("full"), omniglot_glyphs("shipped")
    assert sum(map(len, full)) == 5840
    known = {image.tobytes() for image in full.test.images}
    assert all(image.tobytes() in known for image in shipped.test.images)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "sprites", "placement": "overlapping"},
        {"kind": "multi_dsprites", "size": 64},
        {"kind": "omniglot", "letters": "shipped", "count_weights": [0, 1]},
        {"digits": "shipped", "held_out_count_weights": [0, 0, 0, 1]},
    ],
)
def test_every_kind_of_data_gives_streams(document: dict[str, object]) -> None:
    data = READ(document)
    train, calibration, test = open_streams(data)
    assert train.settings is data
    images = [stream.batch(8, 0, 0).images for stream in (train, calibration, test)]
    assert all(part.shape == (8, data.size, data.size) for part in images)
    assert not np.array_equal(images[0], images[1])
    assert test.settings.count_weights == data.test_settings().count_weights


def test_data_without_a_kind_is_multi_mnist() -> None:
    assert READ({}) == MultiMnistData()
