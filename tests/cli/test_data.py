"""`data list` and `data make`, as a script and as a person calls them."""

import json

import pytest

from inverse_graphics.cli.data import MULTI_OBJECT_KINDS
from inverse_graphics.data import multi_object_set
from inverse_graphics.data.multi_object_set import read_image_set
from inverse_graphics.data.published import PUBLISHED
from inverse_graphics.data.sources import KINDS
from inverse_graphics.families import dataset_making
from inverse_graphics.families.dataset import read_dataset
from inverse_graphics.families.registry import shipped_families

TINY = "kind: table_top\nimage_size: 16\n"


@pytest.fixture
def family(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def test_families_are_listed_each_with_a_line(run):
    listed = json.loads(run("data", "list", "--json", "-").out)
    assert [entry["name"] for entry in listed] == [*shipped_families(), *KINDS]
    assert all(entry["description"] for entry in listed)
    table = " ".join(run("data", "list").out.split())
    assert all(" ".join(entry["description"].split())[:40] in table for entry in listed)
    assert all(resource.name in table for files in PUBLISHED.values() for resource in files)


def test_a_data_set_is_made_and_made_again_for_nothing(run, family, tmp_path):
    arguments = (
        "data",
        "make",
        family,
        "--images",
        6,
        "--out",
        tmp_path / "set",
        "--sigma",
        0.05,
        "--seed",
        3,
    )
    outcome = run(*arguments, "--workers", 1, "--json", "-")
    assert outcome.status == 0, outcome.err
    facts = json.loads(outcome.out)
    assert facts["complete"]
    assert facts["settings"] | {"family": None} == {
        "family": None, "images": 6, "seed": 3, "sigma": 0.05, "engine": "embedded"
    }  # fmt: skip
    assert len(list(read_dataset(tmp_path / "set"))) == 6
    again = run(*arguments)
    assert again.status == 0
    assert (
        again.err == f"6 images are in {tmp_path / 'set'}; {tmp_path / 'set' / 'sheet.png'} shows the first\n"
    )


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(run, family, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset_making.ScenePartMaker, "make", interrupted)
    outcome = run("data", "make", family, "--images", 6, "--out", tmp_path / "set", "--workers", 1)
    assert outcome.status == 130
    expected = f"stopped: 0 of 6 images are in {tmp_path / 'set'}; run the same command to continue\n"
    assert outcome.err == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tabletop", "--images", "5"), "no scene family 'tabletop': did you mean table_top"),
        (("table_top", "--images", "5", "--engine", "blender"), "unknown render engine 'blender'"),
        (("table_top", "--images", "5", "--pack", "nowhere"), "no asset pack 'nowhere'"),
    ],
)
def test_what_cannot_be_drawn_is_reported_in_one_line_and_leaves_nothing(run, tmp_path, arguments, message):
    outcome = run("data", "make", *arguments, "--out", tmp_path / "set")
    assert outcome.status == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("wrong", [("--images", "0"), ("--sigma", "nan"), ("--sigma", "2"), ("--seed", "-1")])
def test_wrong_usage_has_status_2(run, tmp_path, wrong):
    assert run("data", "make", "table_top", "--images", "5", "--out", tmp_path / "set", *wrong).status == 2


def test_kinds_of_images_are_named_as_the_library_names_them():
    assert tuple(KINDS) == MULTI_OBJECT_KINDS


def test_images_of_objects_in_the_plane_are_made_and_made_again_for_nothing(run, tmp_path):
    arguments = ("data", "make", "multi_mnist", "--images", 20, "--out", tmp_path / "set", "--seed", 4)
    changes = ("--set", "digits=shipped", "--set", "count_weights=[0, 1, 1, 1]", "--share", "test")
    outcome = run(*arguments, *changes, "--workers", 1, "--json", "-")
    assert outcome.status == 0, outcome.err
    facts = json.loads(outcome.out)
    assert facts["complete"]
    assert facts["settings"]["data"]["count_weights"] == [0, 1, 1, 1]
    (part,) = read_image_set(tmp_path / "set")
    assert part.images.shape == (20, 50, 50)
    assert set(part.counts.tolist()) == {1, 2, 3}
    before = (tmp_path / "set" / "part-0000.npz").stat().st_mtime_ns
    assert run(*arguments, *changes).status == 0
    assert (tmp_path / "set" / "part-0000.npz").stat().st_mtime_ns == before


def test_ctrl_c_among_images_says_what_is_kept(run, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(multi_object_set, "make_part", interrupted)
    outcome = run("data", "make", "sprites", "--images", 6, "--out", tmp_path / "set", "--workers", 1)
    assert outcome.status == 130
    expected = f"stopped: 0 of 6 images are in {tmp_path / 'set'}; run the same command to continue\n"
    assert outcome.err == expected


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("sprites", "--set", "size=5"), 1, "size"),
        (("sprites", "--set", "colour=red"), 1, "colour"),
        (("sprites", "--set", "size"), 1, "is not key=value"),
        (("sprites", "--share", "all"), 1, "share"),
        (("sprites", "--set", "scale=[9, 9]"), 1, "does not fit an image"),
        (("sprites", "--sigma", "0.1"), 2, "--sigma"),
        (("table_top", "--set", "size=5"), 2, "--set"),
        (("table_top", "--share", "calibration"), 2, "--share"),
    ],
)
def test_images_that_cannot_be_made_are_reported(run, tmp_path, arguments, status, message):
    outcome = run("data", "make", *arguments, "--images", 5, "--out", tmp_path / "set")
    assert outcome.status == status
    assert message in outcome.err
    assert not (tmp_path / "set").exists()


def test_fetching_verifies_what_is_there_and_shows_what_is_not(run, monkeypatch, tmp_path):
    monkeypatch.setenv("INVERSE_GRAPHICS_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "dsprites").mkdir()
    (tmp_path / "dsprites" / "dsprites_subset.npz").write_bytes(b"something else")
    outcome = run("data", "fetch", "dsprites")
    assert outcome.status == 1
    assert "is not the published dsprites_subset.npz" in outcome.err
    outcome = run("data", "fetch", "mnits")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "did you mean mnist?" in outcome.err
