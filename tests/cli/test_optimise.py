"""`optimise` and its benchmark, as scripts use them."""

import json

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.io.images import read_image
from inverse_graphics.scene.scene_file import load_scene

QUICK = ["--steps", "4", "--exchanges", "1"]
FEW = [*QUICK, "--restarts", "2"]


@pytest.fixture
def pictures(tmp_path):
    """Two images of a table, one of them wider than high."""
    folder = tmp_path / "tables"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, size in (("a", (64, 64)), ("b", (48, 80))):
        pixels = np.full((*size, 3), (184, 150, 112)) + generator.normal(0, 12, (*size, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def test_an_answer_has_the_fields_that_scripts_lean_on(run, pictures):
    outcome = run("optimise", pictures, *FEW, "--seed", "3", "--json", "-")
    assert outcome.status == 0, outcome.err
    for line, name in zip(outcome.out.splitlines(), "ab", strict=True):
        found = json.loads(line)
        assert found["image"].endswith(f"{name}.png")
        assert (found["engine"], found["start"], found["restarts"], found["steps"]) == (
            "embedded",
            "prior",
            2,
            4,
        )
        assert found["count"] == len(found["objects"])
        assert found["log_joint"] == max(found["log_joint_of_restarts"])
        assert len(found["log_joint_of_restarts"]) == 2
        assert found["log_likelihood_before"] is None
        assert found["seconds"] > 0


def test_the_same_seed_gives_the_same_answer_alone_and_among_others(run, pictures):
    def answers(*images, seed):
        out = run("optimise", *images, *FEW, "--seed", seed, "--json", "-").out
        return [json.loads(line) | {"seconds": None} for line in out.splitlines()]

    both = answers(pictures, seed=1)
    assert answers(pictures / "b.png", seed=1) == both[1:]
    assert answers(pictures / "b.png", seed=2) != both[1:]


def test_files_for_people_and_for_render_are_written(run, pictures, tmp_path):
    outcome = run("optimise", pictures, *FEW, "--out", tmp_path / "found")
    assert outcome.status == 0, outcome.err
    assert "a.png" in outcome.out
    assert {file.name for file in (tmp_path / "found").iterdir()} == {
        f"{name}.{kind}" for name in "ab" for kind in ("yaml", "png", "gif")
    }
    scene = load_scene(tmp_path / "found" / "b.yaml")
    assert (scene.camera.width_px, scene.camera.height_px) == (80, 48)
    assert run("render", tmp_path / "found" / "b.yaml", "-o", tmp_path / "again.png").status == 0
    assert read_image(tmp_path / "found" / "a.png").shape[1] > 1000
    with Image.open(tmp_path / "found" / "a.gif") as animation:
        assert 3 <= getattr(animation, "n_frames", 1) <= 4 + 2  # frames that are alike are joined


def test_from_a_network_s_answer_nothing_gets_worse(run, pictures, scene_model):
    outcome = run("optimise", pictures, "--model", scene_model, "--start", "network", *QUICK, "--json", "-")
    assert outcome.status == 0, outcome.err
    for found in map(json.loads, outcome.out.splitlines()):
        assert found["log_likelihood"] >= found["log_likelihood_before"] - 0.01
        assert found["count"] == 1


def test_a_family_needs_no_model(run, pictures):
    outcome = run("optimise", pictures / "a.png", "--family", "single_object", *FEW, "--json", "-")
    found = json.loads(outcome.out)
    assert found["model"] == "single_object"
    assert found["objects"][0]["identity"].startswith("primitives/")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--family", "nowhere"], "no scene family 'nowhere': expected"),
        (["--family", "single_object", "--start", "network"], "has no network"),
        (["--model", "nothing"], "no model 'nothing'"),
        (["--model", "multi_mnist"], "does not infer 3D scenes: choose a 3D model"),
        (["--engine", "crayon"], "unknown render engine 'crayon': available here: embedded"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_line(run, pictures, arguments, part):
    outcome = run("optimise", pictures / "a.png", *FEW[:2], *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert part in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "table_top", "--family", "table_top"],
        ["--start", "network", "--restarts", "4"],
        ["--sigma", "0.1"],
        ["--restarts", "0"],
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other_are_wrong_usage(run, pictures, arguments):
    outcome = run("optimise", pictures / "a.png", *arguments)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err


def test_an_unreadable_image_is_reported_and_the_others_are_answered(run, pictures):
    (pictures / "aa.png").write_text("nothing")
    outcome = run("optimise", pictures, *FEW, "--json", "-")
    assert outcome.status == 1
    assert "aa.png" in outcome.err
    assert len(outcome.out.splitlines()) == 2


def test_searching_is_measured_beside_the_network(run, scene_model, tmp_path, monkeypatch):
    monkeypatch.setattr("inverse_graphics.benchmarks.optimise.TIMED", 1)
    monkeypatch.setattr("inverse_graphics.benchmarks.optimise.TIMED_NETWORK", 1)
    plot = tmp_path / "plot.svg"
    measure = ["benchmark", "optimise", "--model", scene_model, "--images", "3", "--steps", "2"]
    outcome = run(*measure, "--restarts", "2,1", "--plot", plot, "--json", "-")
    assert outcome.status == 0, outcome.err
    truth, *rows = json.loads(outcome.out)
    assert truth["success"] == truth["as_likely"] == 1
    assert truth["above_truth"] == 0
    methods = [(row["method"], row["restarts"]) for row in rows]
    searches = [(name, number) for name in ("gradients", "search") for number in (1, 2)]
    assert methods == [("network", 1), ("network, then search", 1), *searches]
    assert rows[1]["log_likelihood"] >= rows[0]["log_likelihood"]
    for one, two in (rows[2:4], rows[4:6]):
        assert two["log_likelihood"] >= one["log_likelihood"] - 5
    assert all(row["success"] <= row["placed"] <= row["counted"] for row in rows)
    assert "network" in plot.read_text()
    assert run(*measure, "--restarts", "0").status == 2
    assert run(*measure, "--plot", tmp_path / "plot.bmp").status == 1
