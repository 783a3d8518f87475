"""`study learn3d` from the command line: to the end, stopped and gone on with, reported on, and misused."""

import csv
import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from inverse_graphics.cli.main import main
from inverse_graphics.errors import TrainingError
from inverse_graphics.studies import runs
from inverse_graphics.studies.variants import shipped_variants
from inverse_graphics.training.run import run as train_run
from inverse_graphics.training.task import build_task

RECIPE = """\
name: tiny
model:
  kind: air3d
  family:
    kind: table_top
    kinds: [crockery/mug]
    count_weights: [1, 1]
    azimuth_degrees: -90
    elevation_degrees: 45
    distance_m: 1.45
    field_of_view_degrees: 34
    image_size: 32
  channels: [8, 8, 8]
  hidden: 32
  precision: float32
objective: {kind: sleep}
steps: 6
batch_size: 4
threads: 1
evaluation: {every: 3, size: 20}
checkpoint_every: 3
"""
SHIPPED = shipped_variants("learn3d")
ONE = ("--objectives", "sleep_only", "--seeds", "0")
VARIANTS = """\
sleep_only: [objective.kind=sleep]
labels/sets: [objective.kind=supervised, objective.order=set]
"""


class Place(NamedTuple):
    """Files to begin with, and where the study goes."""

    recipe: Path
    variants: Path
    out: Path

    def command(self, *more: object) -> list[str]:
        given = ["--recipe", self.recipe, "--variants", self.variants, "--out", self.out, "--seeds", "0,1"]
        return ["study", "learn3d", *map(str, given), *map(str, more)]


def place(folder: Path) -> Place:
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(RECIPE)
    (folder / "variants.yaml").write_text(VARIANTS)
    return Place(folder / "tiny.yaml", folder / "variants.yaml", folder / "study")


@pytest.fixture(scope="module", autouse=True)
def quick_export() -> Iterator[None]:
    """What an export calibrates beside the weights takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inverse_graphics.training.air3d_task.FIT_SIZE", 200)
        patch.setattr("inverse_graphics.training.air3d_task.CALIBRATION_SIZE", 200)
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory, quick_export) -> Place:
    """A study that has come to its end; not to be changed."""
    here = place(tmp_path_factory.mktemp("done"))
    assert main(here.command()) == 0
    return here


@pytest.fixture
def results(done) -> dict[str, Any]:
    return json.loads((done.out / "results.json").read_text())


def test_every_run_is_there_with_all_that_is_known_of_it(results):
    assert [(r["variant"], r["seed"]) for r in results["runs"]] == [
        ("sleep_only", 0), ("labels/sets", 0), ("sleep_only", 1), ("labels/sets", 1)
    ]  # fmt: skip
    for record in results["runs"]:
        assert (record["step"], record["steps"], record["images"]) == (6, 6, 24)
        assert record["finished"]
        assert record["error"] is None
        assert record["with_labels"] == (record["variant"] == "labels/sets")
        assert record["recipe"]["seed"] == record["seed"]
        assert record["images_per_second"] == pytest.approx(24 / record["seconds"])
    assert results["versions"]["inverse_graphics"]
    assert results["command"].split()[0] == "inverse-graphics"


def test_the_evaluation_is_that_of_the_last_step_with_denominators(results):
    for record in results["runs"]:
        evaluation, last = record["evaluation"], record["history"][-1]["held_out"]
        figures = evaluation["figures"]
        known = {name: figure["value"] for name, figure in figures.items() if figure["value"] is not None}
        known["log_likelihood"] = evaluation["log_likelihood"]["value"]
        assert known == pytest.approx(last, rel=1e-4, abs=1e-6)
        assert figures["count_accuracy"]["denominator"] == evaluation["images"] == 20
        assert sum(map(sum, evaluation["count_confusion_true_by_inferred"])) == 20
        assert sum(evaluation["failures"].values()) == 20
        right = 1 - evaluation["failures"]["wrong count"] / 20
        assert right == pytest.approx(figures["count_accuracy"]["value"])


def test_nothing_explains_images_better_than_the_truth_and_its_bound(results):
    for record in results["runs"]:
        evaluation = record["evaluation"]
        truth = evaluation["log_likelihood_of_truth"]["value"]
        assert evaluation["log_likelihood"]["value"] < truth
        assert evaluation["log_evidence_bound"]["value"] < truth


def test_the_files_are_those_that_are_promised(done):
    names = {path.name for path in done.out.iterdir()}
    assert names == {
        "runs", "results.json", "summary.md", "curves.csv", "curves.png", "curves.svg", "confusions.png",
        "gallery-sleep_only.png", "gallery-labels-sets.png",
    }  # fmt: skip
    for name in names:
        if name.endswith(".png"):
            with Image.open(done.out / name) as picture:
                picture.verify()
    with (done.out / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["seed"], row["step"]) for row in rows] == [
        (variant, seed, step) for seed in "01" for variant in ("sleep_only", "labels/sets") for step in "36"
    ]


def test_what_was_trained_on_labels_stands_in_a_table_of_its_own(done):
    text = (done.out / "summary.md").read_text()
    before, after = text.split("## With labels, for comparison")
    without, with_ = before.partition("## Without labels")[2], after.partition("## Counts")[0]
    assert "| sleep_only |" in without
    assert "labels/sets" not in without
    assert "| labels/sets |" in with_
    assert "sleep_only" not in with_


def test_the_same_command_trains_nothing_again(done, capsys, monkeypatch):
    def never(*_, **__):
        raise AssertionError("trained or judged again")

    monkeypatch.setattr(runs, "run", never)
    monkeypatch.setattr("inverse_graphics.studies.learn3d_evaluation.read_scenes", never)
    before = (done.out / "results.json").read_text()
    capsys.readouterr()
    assert main(done.command("--json", "-")) == 0
    outcome = capsys.readouterr()
    rows = json.loads(outcome.out)
    assert [(row["variant"], row["labels"], row["seeds"]) for row in rows] == [
        ("sleep_only", False, "2 of 2"), ("labels/sets", True, "2 of 2")
    ]  # fmt: skip
    assert outcome.err.count("is there") == 4
    assert json.loads(before)["runs"] == json.loads((done.out / "results.json").read_text())["runs"]


def test_an_evaluation_is_done_again_for_other_images(done, tmp_path):
    file = done.out / "runs" / "sleep_only-seed0" / "evaluation.json"
    before, results = file.read_text(), (done.out / "results.json").read_text()
    try:
        assert main(done.command("--objectives", "sleep_only", "--set", "evaluation.size=10")) == 0
        assert json.loads(file.read_text())["images"] == 10
    finally:
        file.write_text(before)
        (done.out / "results.json").write_text(results)


@pytest.fixture
def stopped(tmp_path, monkeypatch, capsys) -> Place:
    """A study of one run that Ctrl-C has stopped in its fifth step, after one evaluation."""
    here = place(tmp_path)

    def stopping(recipe):
        task = build_task(recipe)

        def batch(step):
            if step == 4:
                signal.raise_signal(signal.SIGINT)
            return task.batch(step)

        return replace(task, batch=batch)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "run", lambda *a, **k: train_run(*a, **(k | {"build_task": stopping})))
        assert main(here.command(*ONE)) == 130
    assert "stopped after step 5 and saved; to continue: inverse-graphics" in capsys.readouterr().err
    return here


def test_a_stopped_study_goes_on_bit_for_bit(done, stopped, capsys):
    assert not (stopped.out / "runs" / "sleep_only-seed0" / "weights").exists()
    assert main(stopped.command(*ONE)) == 0
    assert "goes on" in capsys.readouterr().err
    weights = "runs/sleep_only-seed0/weights/weights.safetensors"
    assert (stopped.out / weights).read_bytes() == (done.out / weights).read_bytes()


def test_an_unfinished_run_is_reported_by_its_curve_alone(stopped, capsys):
    capsys.readouterr()
    assert main(stopped.command(*ONE, "--no-train", "--json", "-")) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["seeds"], row["count_accuracy"]) == ("0 of 1", None)
    assert "| sleep_only, seed 0 | 3 of 6 | not finished |" in (stopped.out / "summary.md").read_text()
    assert not list(stopped.out.glob("gallery-*"))
    assert (stopped.out / "curves.png").is_file()


def test_a_run_that_diverges_does_not_stop_the_others(tmp_path, capsys, monkeypatch):
    here = place(tmp_path)

    def diverging(recipe, folder, **more):
        if "labels" in folder.name:
            raise TrainingError("the loss was not finite")
        return train_run(recipe, folder, **more)

    monkeypatch.setattr(runs, "run", diverging)
    assert main(here.command("--objectives", "labels/sets,sleep_only", "--seeds", "0")) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "Error: 1 of 2 runs ended with an error: labels-sets-seed0"
    records = json.loads((here.out / "results.json").read_text())["runs"]
    assert [(r["variant"], r["finished"]) for r in records] == [("sleep_only", True)]


def test_damaged_weights_leave_the_other_runs_in_the_report(done, tmp_path):
    here = place(tmp_path)
    shutil.copytree(done.out / "runs", here.out / "runs")
    (here.out / "runs" / "sleep_only-seed0" / "weights" / "weights.safetensors").write_bytes(b"nothing")
    assert main(here.command("--no-train")) == 0
    runs = json.loads((here.out / "results.json").read_text())["runs"]
    assert [bool(r["evaluation"]) for r in runs] == [False, True, True, True]
    assert "weights.safetensors" in runs[0]["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objectives", "slep"], "no variant 'slep': did you mean sleep"),
        (["--objectives", ""], "no variant ''"),
        (["--recipe", "tabletop"], "no recipe 'tabletop': did you mean table_top"),
        (["--recipe", "multi_mnist"], "multi_mnist trains no 3D model: choose a recipe that does"),
        (["--set", "optimiser.rate=1"], "has no key 'optimiser.rate'"),
        (["--set", "seed=1"], "choose them by --seeds"),
        (["--variants", "nowhere.yaml"], "no such file: nowhere.yaml"),
        (["--no-train"], "contains no run that has been evaluated"),
        (["--set", "batch_size=5", "--out", "DONE"], "was trained with another recipe (other batch_size)"),
        (["--steps", "3", "--out", "DONE"], "is at step 6, beyond the requested 3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_studied_is_reported(done, tmp_path, capsys, arguments, message):
    here = place(tmp_path)
    given = [str(done.out) if word == "DONE" else word for word in arguments]
    status = main(here.command("--objectives", "sleep_only", "--seeds", "0", *given))
    outcome = capsys.readouterr()
    assert status == 1
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not here.out.exists()
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("wrong", [["--seeds", "a"], ["--seeds", ""], ["--steps", "0"], ["--seeds", "1,-2"]])
def test_wrong_usage_has_status_two(tmp_path, wrong, capsys):
    assert main(place(tmp_path).command(*wrong)) == 2
    assert "Usage:" in capsys.readouterr().err


def test_schedules_that_outlast_the_run_are_reported(tmp_path):
    variants = [SHIPPED["wake_sleep"], SHIPPED["elbo"], SHIPPED["sleep"]]

    def warnings(steps: int) -> list[str]:
        return runs.schedule_warnings(
            runs.plan_runs(place(tmp_path).recipe, variants, [0, 1], [f"steps={steps}"], tmp_path)
        )

    assert [line.partition(":")[0] for line in warnings(4000)] == ["wake_sleep", "elbo"]
    assert warnings(4000)[0].startswith("wake_sleep: objective.sleep_steps is 4,000, of 4,000 steps")
    assert warnings(4001) == []
