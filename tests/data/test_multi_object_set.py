"""Sets of images on disk: the stream's own images, whoever makes them, gone on with, and verified."""

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.data import multi_object_set
from inverse_graphics.data.multi_object_set import (
    ImageSetSettings,
    make_image_set,
    multi_object_images,
    part_file,
    read_image_set,
)
from inverse_graphics.errors import DataError


def settings(images=700, **changes):
    data = {"kind": "sprites", "size": 40, "count_weights": [1, 1], "background": {"kind": "grid"}}
    return ImageSetSettings.model_validate({"data": data, "images": images, "seed": 3} | changes)


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of 256 images, so that there are several."""
    monkeypatch.setattr(multi_object_set, "PART", 256)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("share", ["train", "calibration", "test"])
def test_images_are_the_first_of_the_stream_in_256_grey_levels(tmp_path, share):
    wanted = settings(share=share)
    made = make_image_set(wanted, tmp_path / "set")
    batch = multi_object_images(wanted).fixed_set(700, 3)
    read = read_image_set(tmp_path / "set")
    assert read == made
    assert len(read) == 700
    parts = list(read)
    assert [len(part.counts) for part in parts] == [256, 256, 188]
    for name in ("counts", "boxes", "labels"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(batch, name))
    images = np.concatenate([part.images for part in parts])
    assert images.dtype == np.float32
    assert np.abs(images - batch.images).max() <= 0.5 / 255 + 1e-6
    with Image.open(tmp_path / "set" / "sheet.png") as sheet:
        assert sheet.size == (8 * 84 + 4, 4 * 84 + 4)


@pytest.mark.usefixtures("small_parts")
def test_a_set_that_was_stopped_is_gone_on_with_and_equals_one_made_in_one_go(tmp_path, monkeypatch):
    make_image_set(settings(), tmp_path / "whole")
    part = multi_object_set.make_part
    calls: list[object] = []

    def stopping(*arguments):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(arguments[-1])
        return part(*arguments)

    monkeypatch.setattr(multi_object_set, "make_part", stopping)
    with pytest.raises(KeyboardInterrupt):
        make_image_set(settings(), tmp_path / "set")
    assert settings().parts(tmp_path / "set").images_made() == 512
    with pytest.raises(DataError, match="not complete"):
        read_image_set(tmp_path / "set")
    monkeypatch.setattr(multi_object_set, "make_part", part)
    seen: list[int] = []
    make_image_set(settings(), tmp_path / "set", advanced=seen.append)
    assert seen == [512, 700]
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "set").iterdir())
    for name in files:
        assert (tmp_path / "set" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.usefixtures("small_parts")
def test_damage_and_other_sets_are_reported(tmp_path):
    folder = tmp_path / "set"
    made = make_image_set(settings(), folder)
    with pytest.raises(DataError, match="holds a set of images with seed 3, not 4"):
        make_image_set(settings(seed=4), folder)
    content = part_file(folder, 1).read_bytes()
    part_file(folder, 1).write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    made.part(0)
    with pytest.raises(DataError, match=r"part-0001\.npz has sha256"):
        made.part(1)
    part_file(folder, 1).unlink()
    with pytest.raises(DataError, match="cannot read"):
        made.part(1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataError, match="is not empty"):
        make_image_set(settings(), tmp_path / "other")
    with pytest.raises(DataError, match="no set of images"):
        read_image_set(tmp_path / "other")


def test_processes_make_the_same_bytes(tmp_path):
    wanted = settings(images=1200)
    one, two = (make_image_set(wanted, tmp_path / str(workers), workers) for workers in (1, 2))
    assert one.document == two.document
