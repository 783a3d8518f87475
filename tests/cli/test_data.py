"""`data list` and `data make`, as a script and as a person calls them."""

import json

import pytest

from inverse_graphics.families import dataset_making
from inverse_graphics.families.dataset import read_dataset
from inverse_graphics.families.families import shipped_families

TINY = "kind: table_top\nimage_size: 16\n"


@pytest.fixture
def family(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def test_families_are_listed_each_with_a_line(run):
    listed = json.loads(run("data", "list", "--json", "-").out)
    assert [entry["name"] for entry in listed] == list(shipped_families())
    assert all(entry["description"] and entry["kinds"] for entry in listed)
    table = run("data", "list").out
    assert all(entry["description"] in table for entry in listed)


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

    monkeypatch.setattr(dataset_making, "_make_here", interrupted)
    outcome = run("data", "make", family, "--images", 6, "--out", tmp_path / "set", "--workers", 1)
    assert outcome.status == 130
    assert outcome.err == f"stopped: 0 of 6 images are in {tmp_path / 'set'}; the same command goes on\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tabletop", "--images", "5"), "no scene family 'tabletop': did you mean table_top"),
        (("table_top", "--images", "5", "--engine", "blender"), "unknown render engine 'blender'"),
        (("table_top", "--images", "5", "--pack", "nowhere"), "no asset pack 'nowhere'"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line_and_leaves_nothing(run, tmp_path, arguments, message):
    outcome = run("data", "make", *arguments, "--out", tmp_path / "set")
    assert outcome.status == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("wrong", [("--images", "0"), ("--sigma", "nan"), ("--sigma", "2"), ("--seed", "-1")])
def test_wrong_usage_has_status_2(run, tmp_path, wrong):
    assert run("data", "make", "table_top", "--images", "5", "--out", tmp_path / "set", *wrong).status == 2
