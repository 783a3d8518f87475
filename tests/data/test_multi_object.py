from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats

from inverse_graphics.data.glyphs import Glyphs, place_disjoint, tight_boxes
from inverse_graphics.data.mnist import Part
from inverse_graphics.data.multi_object import Grid, MultiObjectBatch, MultiObjectImages, MultiObjectSettings
from inverse_graphics.errors import DataError

UP_TO_FOUR = MultiObjectSettings(size=90, count_weights=(1, 2, 3, 2, 2))


@pytest.fixture(params=[MultiObjectSettings(), UP_TO_FOUR], ids=["paper", "up to four"])
def stream(request: pytest.FixtureRequest, shipped_digits: dict[Part, Glyphs]) -> MultiObjectImages:
    return MultiObjectImages(shipped_digits["train"], request.param)


def brute_force_box(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    inked = [(x, y) for y in range(image.shape[0]) for x in range(image.shape[1]) if image[y, x] > 0]
    if not inked:
        return 0, 0, 0, 0
    xs, ys = zip(*inked, strict=True)
    return min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1


def same(one: MultiObjectBatch, other: MultiObjectBatch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one._fields)


def test_tight_boxes_equal_a_search_over_pixels() -> None:
    generator = np.random.default_rng(0)
    sparse = generator.random((200, 7, 9)) < 0.04
    images = np.where(sparse, generator.integers(1, 256, sparse.shape), 0).astype(np.uint8)
    assert any(not image.any() for image in images)
    assert tight_boxes(images).tolist() == [list(brute_force_box(image)) for image in images]


def test_shapes_types_and_empty_slots(stream: MultiObjectImages) -> None:
    size, slots = stream.settings.size, stream.settings.largest_count
    batch = stream.batch(64, seed=1, index=2)
    assert batch.images.shape == (64, size, size)
    assert batch.images.dtype == np.float32
    assert batch.boxes.shape == (64, slots, 4)
    present = np.arange(slots) < batch.counts[:, None]
    assert np.array_equal(batch.labels >= 0, present)
    assert np.array_equal(batch.boxes.any(axis=-1), present)


def test_boxes_are_inside_disjoint_and_tight(stream: MultiObjectImages) -> None:
    batch = stream.batch(300, seed=3, index=0)
    for image, count, boxes in zip(batch.images, batch.counts, batch.boxes, strict=True):
        cover = np.zeros(image.shape, np.int64)
        for x, y, width, height in boxes[:count]:
            assert min(x, y) >= 0
            assert max(x + width, y + height) <= len(image)
            cover[y : y + height, x : x + width] += 1
            inside = (image[y : y + height, x : x + width] * 255).round().astype(np.uint8)
            assert brute_force_box(inside) == (0, 0, width, height)
        assert cover.max(initial=0) <= 1
        assert not image[cover == 0].any()


def test_every_digit_is_pasted_pixel_for_pixel(shipped_digits: dict[Part, Glyphs]) -> None:
    digits = shipped_digits["test"]
    known = {}
    for image, label in zip(digits.images, digits.labels, strict=True):
        x, y, width, height = brute_force_box(image)
        known[image[y : y + height, x : x + width].astype(np.float32).tobytes(), width] = int(label)
    batch = MultiObjectImages(digits).batch(100, seed=0, index=0)
    for image, count, boxes, labels in zip(*batch[:1], *batch[1:], strict=True):
        for (x, y, width, height), label in zip(boxes[:count], labels[:count], strict=True):
            pixels = np.ascontiguousarray(image[y : y + height, x : x + width]) * np.float32(255)
            assert known[pixels.round().tobytes(), width] == label


def test_counts_have_their_probabilities(stream: MultiObjectImages) -> None:
    counts = np.concatenate([stream.batch(500, seed=5, index=k).counts for k in range(8)])
    seen = np.bincount(counts, minlength=stream.settings.largest_count + 1)
    assert stats.chisquare(seen, stream.settings.count_probabilities * len(counts)).pvalue > 1e-3
    shifted = np.roll(stream.settings.count_probabilities, 1) + np.linspace(0, 0.2, len(seen))
    assert stats.chisquare(seen, shifted / shifted.sum() * len(counts)).pvalue < 1e-3


def test_a_count_of_no_weight_never_appears(shipped_digits: dict[Part, Glyphs]) -> None:
    settings = MultiObjectSettings(count_weights=(0, 1, 0))
    assert set(MultiObjectImages(shipped_digits["train"], settings).batch(200, 0, 0).counts) == {1}


def test_placements_are_uniform_over_the_disjoint_ones() -> None:
    extents = np.tile(np.array([[[2, 3], [3, 2]]]), (40_000, 1, 1))
    corners = place_disjoint(extents, 6, np.random.default_rng(0))
    allowed = {
        (a, b, c, d)
        for a, b in np.ndindex(5, 4)
        for c, d in np.ndindex(4, 5)
        if not (a < c + 3 and c < a + 2 and b < d + 2 and d < b + 3)
    }
    seen = dict.fromkeys(allowed, 0)
    for a, b, c, d in corners.reshape(-1, 4).tolist():
        seen[a, b, c, d] += 1  # a placement that is not allowed is a KeyError
    frequencies = np.array(list(seen.values()))
    assert stats.chisquare(frequencies).pvalue > 1e-3
    tilted = np.linspace(0.8, 1.2, len(frequencies))
    assert stats.chisquare(frequencies, tilted / tilted.sum() * frequencies.sum()).pvalue < 1e-3


def test_a_batch_depends_on_seed_and_index_alone(stream: MultiObjectImages) -> None:
    first = stream.batch(32, seed=7, index=11)
    stream.batch(32, seed=7, index=12)
    again = MultiObjectImages(stream.glyphs, stream.settings).batch(32, seed=7, index=11)
    assert same(first, again)
    for seed, index in ((7, 12), (8, 11), (11, 7)):
        assert not np.array_equal(first.images, stream.batch(32, seed, index).images)


def test_a_fixed_set_begins_as_a_shorter_one_and_as_the_stream(stream: MultiObjectImages) -> None:
    longer, shorter = stream.fixed_set(600, seed=2), stream.fixed_set(300, seed=2)
    assert same(MultiObjectBatch._make(part[:300] for part in longer), shorter)
    assert np.array_equal(longer.images[256:512], stream.batch(256, seed=2, index=1).images)
    assert stream.fixed_set(0, seed=2).images.shape[0] == 0


def test_digits_that_cannot_lie_side_by_side_are_an_error(shipped_digits: dict[Part, Glyphs]) -> None:
    settings = MultiObjectSettings(size=24, count_weights=(0, 0, 0, 0, 1))
    with pytest.raises(DataError, match="4 objects do not fit"):
        MultiObjectImages(shipped_digits["train"], settings).batch(8, 0, 0)


def test_blank_or_no_digits_are_an_error(shipped_digits: dict[Part, Glyphs]) -> None:
    images = shipped_digits["train"].images[:3].copy()
    images[1] = 0
    with pytest.raises(DataError, match="1 of them blank"):
        MultiObjectImages(Glyphs(images, np.zeros(3, np.int64)))
    with pytest.raises(DataError, match="at least one"):
        MultiObjectImages(Glyphs(images[:0], np.zeros(0, np.int64)))


def test_a_digit_larger_than_the_canvas_is_an_error() -> None:
    digits = Glyphs(np.full((1, 28, 28), 255, np.uint8), np.zeros(1, np.int64))
    with pytest.raises(DataError, match="28 pixels does not fit an image of 27"):
        MultiObjectImages(digits, MultiObjectSettings(size=27))


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 5},
        {"count_weights": []},
        {"count_weights": [0, 0]},
        {"count_weights": [1, -1]},
        {"count_weights": [1, float("nan")]},
        {"colour": "red"},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MultiObjectSettings.model_validate(settings)


def test_a_training_batch_is_quick(shipped_digits: dict[Part, Glyphs]) -> None:
    stream = MultiObjectImages(shipped_digits["train"])
    durations = []
    for index in range(30):
        begun = time.perf_counter()
        stream.batch(64, 0, index)
        durations.append(time.perf_counter() - begun)
    assert np.median(durations) < 0.005  # measured 0.0002 s on one quiet core


def variant(**settings: object) -> MultiObjectSettings:
    return MultiObjectSettings.model_validate({"count_weights": (0, 0, 1, 1), **settings})


def test_added_ink_is_never_more_than_white_and_boxes_overlap(
    shipped_digits: dict[Part, Glyphs],
) -> None:
    batch = MultiObjectImages(shipped_digits["train"], variant(placement="adding")).batch(200, 0, 0)
    assert batch.images.max() <= 1
    overlapping = 0
    for image, count, boxes in zip(batch.images, batch.counts, batch.boxes, strict=True):
        cover = np.zeros(image.shape, np.int64)
        for x, y, width, height in boxes[:count]:
            cover[y : y + height, x : x + width] += 1
        assert not image[cover == 0].any()
        overlapping += cover.max() > 1
    assert overlapping > 50


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_of_overlapping_objects_enough_is_seen(share: float) -> None:
    """Of each disc so much is bright that no other disc's place explains it."""
    disc = np.hypot(*np.mgrid[-7.5:8, -7.5:8]) < 8
    discs = Glyphs(255 * disc[None].astype(np.uint8), np.zeros(1, np.int64))
    batch = MultiObjectImages(discs, variant(placement="overlapping", visible=share)).batch(300, 0, 0)
    assert set(np.unique(batch.images)) == {0, 1}
    shares = []
    for count, boxes in zip(batch.counts, batch.boxes, strict=True):
        layers = np.zeros((count, 50, 50), np.bool_)
        for layer, (x, y, width, height) in zip(layers, boxes[:count], strict=True):
            layer[y : y + height, x : x + width] = disc
        shares += [(layer & (layers.sum(axis=0) == 1)).sum() / layer.sum() for layer in layers]
    assert min(shares) >= share
    assert min(shares) < share + 0.2  # a negative control: they do overlap


def test_resized_glyphs_have_the_sizes_asked_for(shipped_digits: dict[Part, Glyphs]) -> None:
    digits = shipped_digits["train"]
    whole, small, between = (
        MultiObjectImages(digits, variant(scale=scale)).batch(200, 0, 0)
        for scale in ((1, 1), (0.6, 0.6), (0.5, 1.2))
    )
    assert np.array_equal(small.boxes[..., 2:], np.rint(0.6 * whole.boxes[..., 2:]))
    there = whole.labels >= 0
    assert np.array_equal(small.labels, whole.labels)
    assert small.images.sum() == pytest.approx(0.36 * whole.images.sum(), rel=0.03)
    factors = between.boxes[there][:, 3] / digits.tight[:, 3].mean()
    assert factors.min() < 0.6
    assert factors.max() > 1.1


@pytest.mark.parametrize("kind", ["noise", "grid"])
def test_ink_is_white_paint_on_the_background(kind: str, shipped_digits: dict[Part, Glyphs]) -> None:
    digits = shipped_digits["train"]
    behind = MultiObjectImages(digits, variant(background={"kind": kind})).batch(50, 0, 0)
    plain = MultiObjectImages(digits, variant()).batch(50, 0, 0)
    ink = plain.images > 0
    assert (behind.images >= plain.images - 1e-6).all()
    assert behind.images[plain.images == 1].min() == 1
    assert behind.images[~ink].mean() > 0.05
    assert np.array_equal(behind.boxes, plain.boxes)


def test_a_grid_has_the_spacing_and_brightness_asked_for() -> None:
    grid = Grid(spacing=(5, 8), brightness=(0.2, 0.7))
    for grid_image in grid.sample(50, 60, np.random.default_rng(0)):
        levels = np.unique(grid_image)
        assert len(levels) == 2
        assert levels[0] == 0
        assert 0.2 <= levels[1] <= 0.7
        lines = np.flatnonzero(grid_image.min(axis=0) > 0)
        assert len(set(np.diff(lines))) == 1
        assert 5 <= lines[1] - lines[0] <= 8
        assert lines[0] < lines[1] - lines[0]


def test_evaluated_images_may_have_counts_of_their_own() -> None:
    settings = MultiObjectSettings(count_weights=(1, 1, 1), held_out_count_weights=(0, 0, 0, 1))
    assert settings.test_settings().count_weights == (0, 0, 0, 1)
    assert settings.largest_count == 2
    assert MultiObjectSettings().test_settings() == MultiObjectSettings()
