import json

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.packs.pack import load_pack, shipped_packs
from inverse_graphics.scene.scene_file import load_scene
from inverse_graphics.training import air2d_task

RECIPE = """\
name: tiny
steps: 2
batch_size: 4
data: {digits: shipped}
model: {features: 8, hidden: 8, head: 8, what: 4, glimpse_hidden: 8}
evaluation: {every: 1, size: 10}
"""


@pytest.fixture
def quick_calibration(monkeypatch):
    """The warning's thresholds are fitted to a few images, since nothing here asks how good they are."""
    monkeypatch.setattr(air2d_task, "CALIBRATION_SIZE", 600)


def test_doctor_finds_what_works_and_says_how_to_get_the_rest(run):
    outcome = run("doctor", "--json", "-")
    findings = json.loads(outcome.out)
    assert outcome.status == int(any(finding["state"] == "broken" for finding in findings))
    areas = {finding["area"] for finding in findings}
    assert areas >= {"versions", "devices", "engines", "data", "packs"}
    assert {"embedded", "cpu", *shipped_packs()} <= {f["name"] for f in findings if f["state"] == "works"}
    assert all(finding["remedy"] for finding in findings if finding["state"] != "works")
    shown = run("doctor").out
    assert all(finding["name"] in shown and finding["detail"] in shown for finding in findings)


def test_doctor_finds_what_is_broken(run, monkeypatch):
    def broken() -> None:
        raise ImportError("libtorch.so: cannot open")

    monkeypatch.setattr("inverse_graphics.doctor._devices", broken)
    outcome = run("doctor", "--json", "-")
    assert outcome.status == 1
    found = [finding for finding in json.loads(outcome.out) if finding["state"] == "broken"]
    assert [finding["detail"] for finding in found] == ["ImportError: libtorch.so: cannot open"]


def test_assets_are_listed_as_the_packs_hold_them(run):
    facts = json.loads(run("assets", "list", "--json", "-").out)
    assert [fact["asset"] for fact in facts] == [a for p in shipped_packs() for a in load_pack(p).asset_names]
    mug = load_pack("crockery").mesh("mug")
    fact = next(fact for fact in facts if fact["asset"] == "crockery/mug")
    assert fact["faces"] == len(mug.faces)
    np.testing.assert_allclose(fact["size_m"], np.ptp(mug.vertices, axis=0), atol=1e-6)
    assert json.loads(run("assets", "show", "crockery/mug", "--json", "-").out) == fact
    table = run("assets", "list").out
    assert all(fact["asset"] in table for fact in facts)
    assert "crockery/mug" in run("assets", "show", "crockery/mug").out


def test_one_pack_can_be_listed_alone(run):
    facts = json.loads(run("assets", "list", "--pack", "primitives", "--json", "-").out)
    assert {fact["pack"] for fact in facts} == {"primitives"}


def test_models_are_listed_and_shown(run, model_folder):
    listed = json.loads(run("models", "list", "--json", "-").out)
    assert all({"name", "kind", "metrics"} <= entry.keys() for entry in listed)
    assert "# Untrained" in run("models", "show", model_folder).out
    shown = json.loads(run("models", "show", model_folder, "--json", "-").out)
    assert shown["kind"] == "air2d"


def test_a_rendered_scene_s_files_agree_with_each_other(run, tmp_path):
    files = {name: tmp_path / f"{name}.png" for name in ("picture", "depth", "mask", "preview")}
    outcome = run(
        "render", "breakfast", "-o", files["picture"], "--depth", files["depth"], "--mask", files["mask"],
        "--depth-preview", files["preview"], "--size", "80x60", "--json", "-",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    facts = json.loads(outcome.out)
    arrays = {name: np.asarray(Image.open(file)) for name, file in files.items()}
    assert arrays["picture"].shape == arrays["preview"].shape == (60, 80, 3)
    assert arrays["depth"].shape == arrays["mask"].shape == (60, 80)
    assert [found["asset"] for found in facts["objects"]] == [
        o.asset for o in load_scene("breakfast").objects
    ]
    for found in facts["objects"]:
        seen = arrays["mask"] == found["mask"]
        assert seen.sum() == found["visible_px"] > 20
        assert (arrays["depth"][seen] > 500).all()
        assert (arrays["depth"][seen] < 2000).all()
        x, y, width, height = found["box_px"]
        assert seen[y : y + height, x : x + width].sum() == seen.sum()
        assert seen[y].any()
        assert seen[:, x].any()


def test_a_larger_picture_shows_the_same_view(run, tmp_path):
    """Halving the larger picture by averaging gives the smaller one, but for the contours."""
    pictures = []
    for size in ("60x60", "120x120"):
        assert run("render", "primitives", "-o", tmp_path / "a.png", "--size", size).status == 0
        pictures.append(np.asarray(Image.open(tmp_path / "a.png")) / 255)
    halved = pictures[1].reshape(60, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - pictures[0]).mean() < 0.01
    assert np.abs(np.roll(halved, 3, axis=1) - pictures[0]).mean() > 0.02


def test_a_wider_picture_shows_more_at_the_sides_and_the_same_in_the_middle(run, tmp_path):
    pictures = []
    for size in ("60x60", "100x60"):
        assert run("render", "primitives", "-o", tmp_path / "a.png", "--size", size).status == 0
        pictures.append(np.asarray(Image.open(tmp_path / "a.png")).astype(int))
    assert np.abs(pictures[1][:, 20:80] - pictures[0]).max() <= 1


def test_a_recipe_is_trained_and_what_it_made_infers(run, tmp_path, image_folder, quick_calibration):
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    train = ["train", tmp_path / "tiny.yaml", "--run-dir", tmp_path / "run"]
    outcome = run(*train, "--set", "seed=3")
    assert outcome.status == 0, outcome.err
    weights = outcome.out.strip()
    assert weights == str(tmp_path / "run" / "weights")
    again = run(*train, "--set", "seed=3")
    assert again.status == 1
    assert "already holds a run" in again.err
    further = run(*train, "--set", "seed=3", "--set", "steps=4", "--resume", "--json", "-")
    assert further.status == 0, further.err
    result = json.loads(further.out)
    assert result["finished"]
    assert [row["step"] for row in result["history"]] == [1, 2, 3, 4]
    assert run("infer", image_folder, "--model", weights).status == 0


def test_a_run_that_is_stopped_says_how_to_go_on(run, tmp_path, monkeypatch):
    class Stopped:
        requested = True

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("inverse_graphics.training.run.StopRequest", Stopped)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    outcome = run("train", tmp_path / "tiny.yaml", "--run-dir", tmp_path / "run")
    assert outcome.status == 130
    assert outcome.out == ""
    assert "--resume" in outcome.err


def test_the_demonstration_s_page_and_pictures_are_there_and_its_answers_are_right(run, tmp_path):
    outcome = run("demo", "--out", tmp_path / "demo", "--images", "6", "--json", tmp_path / "seen.json")
    assert outcome.status == 0, outcome.err
    everything = json.loads((tmp_path / "seen.json").read_text())
    page = (tmp_path / "demo" / "index.html").read_text()
    for model, seen in (("table_top", everything[:7]), ("multi_mnist", everything[7:])):
        *in_distribution, foreign = seen
        assert len(in_distribution) == 6
        assert [one["count"] for one in in_distribution] == [one["true_count"] for one in in_distribution]
        assert all(one["warning"] is None and one["model"] == model for one in in_distribution)
        assert foreign["true_count"] is None
        assert foreign["warning"] in page
    for one in everything:
        assert (tmp_path / "demo" / one["image"]).is_file()
        assert one["image"] in outcome.out
    for one in everything[:6]:
        assert sorted(found["identity"] for found in one["objects"]) == sorted(one["true_identities"])
    assert str(tmp_path / "demo" / "index.html") in outcome.err


def test_what_the_demonstration_wrote_is_inferred_alike(run, tmp_path):
    """Through a file an image is rounded to 256 levels, and nothing else happens to it."""
    seen = json.loads(run("demo", "--out", tmp_path, "--images", "5", "--seed", "3", "--json", "-").out)
    for answer in (one for one in seen if one["true_count"] is not None):
        model = ["--model", answer["model"]]
        again = json.loads(run("infer", tmp_path / answer["image"], "--json", "-", *model).out)
        assert again["count_probabilities"] == pytest.approx(answer["count_probabilities"], abs=1e-3)
        assert again["model"] == answer["model"]


def test_the_default_model_is_named_on_stderr(run, tmp_path):
    Image.new("L", (64, 64)).save(tmp_path / "black.png")
    outcome = run("infer", tmp_path / "black.png")
    assert outcome.err == "model: table_top, the default (--model chooses another)\n"
    assert "black.png" in outcome.out


def test_an_engine_is_measured_with_the_fields_that_scripts_lean_on(run):
    sizes = ["--size", "16x12", "--size", "8x8", "--batch", "2", "--seconds", "0.01"]
    rows = json.loads(run("benchmark", "render", *sizes, "--json", "-").out)
    assert [(row["width"], row["height"]) for row in rows] == [(16, 12), (8, 8)]
    for row in rows:
        assert row["engine"] == "embedded"
        assert row["device"] == "cpu"
        assert row["batch"] == 2
        assert row["faces"] > 1000
        assert row["forward_scenes_per_second"] > 0  # which of two short timings is faster, noise decides
        assert row["forward_backward_scenes_per_second"] > 0
    assert "embedded" in run("benchmark", "render", *sizes).out


def test_sweeps_are_fitted_and_drawn(run, tmp_path, monkeypatch):
    from inverse_graphics.benchmarks.render_sweeps import SWEEPS

    monkeypatch.setitem(SWEEPS, "objects", SWEEPS["objects"][:2])
    figures, picture = tmp_path / "figures.json", tmp_path / "sweep.svg"
    sweep = ["--sweep", "objects", "--batch", "2", "--seconds", "0.01"]
    outcome = run("benchmark", "render", *sweep, "--json", figures, "--plot", picture)
    assert outcome.status == 0
    assert "slope" in outcome.out
    assert [row["objects"] for row in json.loads(figures.read_text())] == [1, 2]
    assert "<svg" in picture.read_text()
    assert run("benchmark", "render", *sweep, "--faces", "100").status == 2
    assert run("benchmark", "render", *sweep, "--plot", tmp_path / "sweep.bmp").status == 1


def test_gradients_are_compared(run):
    arguments = ["--scenes", "2", "--size", "24x16", "--supersample", "1", "--supersample", "2"]
    rows = json.loads(run("benchmark", "render-gradients", *arguments, "--json", "-").out)
    assert [row["engine"] for row in rows] == (["embedded"] * 4 + ["embedded×2"] * 4) * 2
    assert {row["loss"] for row in rows} == {"blur", "pyramid"}
    assert all((row["width"], row["height"], row["scenes"]) == (24, 16, 2) for row in rows)
    assert all(-1 <= row["lowest"] <= row["median"] <= 1 for row in rows)


def test_the_fuzz_counts_what_is_not_finite(run):
    fuzz = ["benchmark", "render-fuzz", "--scenes", "20", "--size", "12x8"]
    (row,) = json.loads(run(*fuzz, "--json", "-").out)
    assert (row["engine"], row["width"], row["height"], row["scenes"]) == ("embedded", 12, 8, 20)
    assert row["non_finite"] == 0
    assert "non finite" in run(*fuzz).out


@pytest.mark.parametrize(
    ("model", "in_distribution"), [("multi_mnist", "multi-MNIST"), ("table_top", "table_top")]
)
def test_a_parser_is_measured(run, model, in_distribution):
    measure = ["benchmark", "infer", "--model", model, "--images", "40", "--json", "-"]
    by_kind = {row["images"]: row for row in json.loads(run(*measure).out)}
    assert by_kind[in_distribution]["number"] == 40
    assert by_kind[in_distribution]["count_accuracy"] > 0.9
    assert by_kind["uniform noise"]["warned"] == 1
    assert by_kind["uniform noise"]["count_accuracy"] is None


def test_a_recipe_is_measured_over_seeds(run, tmp_path, quick_calibration):
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    measure = ["benchmark", "train", tmp_path / "tiny.yaml", "--runs", tmp_path]
    rows = json.loads(run(*measure, "--seeds", "0, 1", "--json", "-").out)
    assert [row["seed"] for row in rows] == [0, 1]
    assert all(row["steps"] == 2 for row in rows)
    assert run(*measure, "--seeds", "one").status == 2


def test_render_reports_what_floats_sinks_or_intersects(run, tmp_path):
    (tmp_path / "scene.yaml").write_text(
        "camera: {width_px: 32, height_px: 32,"
        " orbit: {azimuth_degrees: 0, elevation_degrees: 40, distance_m: 1}}\n"
        "table: {size_m: [0.9, 0.7]}\n"
        "objects: [{asset: primitives/cube}, {asset: crockery/mug, position_m: [0.03, 0, 0]},"
        " {asset: crockery/glass, position_m: [0.3, 0.2, 0.1]}]\n"
    )
    outcome = run("render", tmp_path / "scene.yaml", "-o", tmp_path / "a.png", "--json", "-")
    assert outcome.status == 0
    warnings = json.loads(outcome.out)["warnings"]
    assert [warning.split(", ", 2)[2].split(" ")[0] for warning in warnings[:2]] == ["sinks", "floats"]
    assert "intersect" in warnings[2]
    assert outcome.err.splitlines() == [f"warning: {warning}" for warning in warnings]
    assert (
        json.loads(run("render", "breakfast", "-o", tmp_path / "b.png", "--json", "-").out)["warnings"] == []
    )
