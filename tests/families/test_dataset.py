"""Data sets on disk: the same bytes however they were made; what they say is what they show."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from inverse_graphics.errors import DataError
from inverse_graphics.families.dataset import PART, DatasetSettings, read_dataset
from inverse_graphics.families.dataset_making import make_dataset
from inverse_graphics.families.registry import AnyFamilySettings, load_family
from inverse_graphics.families.single_object import SingleObjectSettings
from inverse_graphics.families.table_top import TableTopSettings
from inverse_graphics.rendering.engines import make_engine
from inverse_graphics.rendering.rendering import render
from inverse_graphics.scene.batch import SceneBatch

SMALL = TableTopSettings(image_size=16, count_weights=(1, 1, 2))


def settings(images=20, family: AnyFamilySettings = SMALL, **rest):
    return DatasetSettings(family=family, images=images, **rest)


def digests(folder):
    """The content of every file but the document, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "dataset.json"
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A noisy data set of three parts, made at once in this process."""
    return make_dataset(settings(2 * PART + 30, sigma=0.1), tmp_path_factory.mktemp("made") / "set")


def test_interrupted_in_two_processes_and_continued_in_one_it_is_the_same_to_the_last_bit(made, tmp_path):
    def stop(done):
        if done:
            raise KeyboardInterrupt

    folder = tmp_path / "set"
    with pytest.raises(KeyboardInterrupt):
        make_dataset(made.document.settings, folder, workers=2, advanced=stop)
    before = digests(folder)
    assert made.document.settings.parts(folder).images_made() >= PART
    (folder / ".part-0001.killed.tmp").mkdir()
    with pytest.raises(DataError, match="not complete: repeat the command that makes it"):
        read_dataset(folder)
    counts: list[int] = []
    make_dataset(made.document.settings, folder, advanced=counts.append)
    assert digests(folder) == digests(made.folder)
    assert before.items() <= digests(folder).items()
    assert counts[0] >= PART
    assert counts[-1] == len(made)
    assert not list(folder.glob(".*"))


def test_what_is_there_is_not_made_again(made):
    stamps = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    counts: list[int] = []
    make_dataset(made.document.settings, made.folder, advanced=counts.append)
    assert counts == [len(made)]
    assert stamps == {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}


@pytest.mark.parametrize(
    "family", [SMALL, SingleObjectSettings(image_size=24)], ids=lambda family: family.kind
)
def test_drawn_again_from_its_ground_truth_an_image_is_the_same(family, tmp_path):
    dataset = make_dataset(settings(family=family), tmp_path / "set")
    read = read_dataset(tmp_path / "set")
    assert read.document == dataset.document
    library = load_family(family.kind).library
    engine = make_engine("embedded", library)
    for index, item in enumerate(read):
        drawn = render(SceneBatch.from_scenes([item.truth.scene], library), engine)
        assert np.abs(item.image - drawn.image[0].permute(1, 2, 0).numpy()).max() <= 0.51 / 255
        assert (item.mask == (drawn.instance_mask[0] + 1).clamp(min=0).numpy()).all()
        np.testing.assert_allclose(item.depth, drawn.depth[0].numpy(), atol=0.00051)
        numbers = range(1, len(item.truth.scene.objects) + 1)
        assert [int((item.mask == number).sum()) for number in numbers] == list(item.truth.visible_px)
        assert item.truth.index == index


def test_objects_are_numbered_from_the_nearest(made):
    for truth in made.truths(0) + made.truths(1):
        camera = torch.tensor(truth.scene.camera.T_world_camera)
        depths = [
            float((torch.tensor(item.position_m) - camera[:3, 3]) @ camera[:3, 2])
            for item in truth.scene.objects
        ]
        assert depths == sorted(depths)


def test_what_is_hidden_is_known(made, tmp_path):
    for truth in made.truths(0):
        if len(truth.visible_px) == 1:
            assert truth.visible_px == truth.alone_px
    low = SMALL.model_copy(update={"elevation_degrees": 12.0, "reach_m": (0.12, 0.2), "image_size": 48})
    truths = make_dataset(settings(family=low), tmp_path / "low").truths(0)
    shares = [
        seen / alone for t in truths for seen, alone in zip(t.visible_px[1:], t.alone_px[1:], strict=True)
    ]
    assert min(shares) < 0.8
    assert max(shares) == 1


def test_noise_has_the_stated_deviation_and_leaves_the_scenes_as_they_are(made, tmp_path):
    clean = make_dataset(settings(40, family=SMALL), tmp_path / "clean")
    assert clean.truths(0) == made.truths(0)[:40]
    noise = np.stack([made[index].image - clean[index].image for index in range(40)])
    inside = np.stack([np.abs(clean[index].image - 0.5) < 0.15 for index in range(40)])  # nothing is clipped
    assert inside.sum() > 3000
    assert noise[inside].std() == pytest.approx(0.1, rel=0.05)
    assert abs(noise[inside].mean()) < 0.01
    assert (noise[0] != noise[1]).any()


def test_fewer_images_are_the_first_of_more(made, tmp_path):
    fewer = make_dataset(settings(5, sigma=0.1), tmp_path / "fewer")
    kept = {name: digest for name, digest in digests(fewer.folder).items() if name.endswith(".png")}
    del kept["sheet.png"]
    assert len(kept) == 15
    assert kept.items() <= digests(made.folder).items()


def test_other_seeds_give_other_images(made, tmp_path):
    other = make_dataset(settings(5, sigma=0.1, seed=1), tmp_path / "other")
    assert all((other[index].image != made[index].image).any() for index in range(5))
    assert {truth.scene.camera for truth in other.truths(0)}.isdisjoint(
        t.scene.camera for t in made.truths(0)
    )


def test_the_sheet_shows_the_first_images(made):
    with Image.open(made.folder / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (4 * 132 + 4, 8 * 132 + 4, 3)
    second = pixels[4 : 4 + 128 : 8, 136 : 136 + 128 : 8]
    assert (second == np.rint(made[1].image * 255)).all()


def test_items_are_found_from_both_ends(made):
    assert len(made) == 2 * PART + 30
    assert made[-1].truth.index == len(made) - 1
    assert made.path("depth", PART).name == f"{PART:06d}.png"
    with pytest.raises(IndexError):
        made[len(made)]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 7}, "holds a data set with seed 0, not 7: choose another folder"),
        ({"images": 21}, "with images 20, not 21"),
        ({"family": TableTopSettings(image_size=32)}, r"with family.count_weights .* \(and 1 more\)"),
        ({"family": SingleObjectSettings(image_size=16)}, "more"),
    ],
)
def test_a_data_set_of_other_settings_is_left_alone(tmp_path, other, message, one_line_error):
    make_dataset(settings(), tmp_path / "set")
    before = digests(tmp_path / "set")
    with one_line_error(DataError, message):
        make_dataset(settings().model_copy(update=other), tmp_path / "set")
    assert digests(tmp_path / "set") == before


def test_a_folder_with_other_objects_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="is not empty and not a data set"):
        make_dataset(settings(), tmp_path)
    with pytest.raises(DataError, match="is not empty and not a data set"):
        make_dataset(settings(), tmp_path / "thesis.tex")
    with pytest.raises(DataError, match="no data set in"):
        read_dataset(tmp_path)


def test_damage_is_reported_in_one_line(tmp_path, one_line_error):
    dataset = make_dataset(settings(), tmp_path / "set")
    dataset.path("images", 3).write_bytes(dataset.path("images", 3).read_bytes()[:60])
    dataset.path("masks", 4).unlink()
    for index in (3, 4):
        with one_line_error(DataError, rf"cannot read .*00000{index}.png"):
            dataset[index]
    truth = tmp_path / "set" / "part-0000" / "truth.jsonl"
    lines = truth.read_text().splitlines()
    truth.write_text("\n".join([lines[0], json.dumps({"index": 1})]))
    with pytest.raises(DataError, match=r"truth.jsonl, line 2: orbit: missing"):
        read_dataset(tmp_path / "set").truths(0)
