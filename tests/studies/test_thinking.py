"""`study act` and `study pact`: from the command line to the end, gone on with, reported on, and misused."""

import csv
import json

import pytest
import torch
from PIL import Image

from inverse_graphics.cli.main import main
from inverse_graphics.errors import RecipeError
from inverse_graphics.halting import Accumulated, Thresholded
from inverse_graphics.models.adaptive.sequence_evaluation import evaluate_sequences
from inverse_graphics.models.adaptive.sequence_network import (
    AdaptiveSettings,
    SequenceNetwork,
    SequenceNetworkSettings,
)
from inverse_graphics.sequences.numbers import Sort
from inverse_graphics.sequences.problems import evaluation_batch
from inverse_graphics.studies.adaptive import adaptive_variants, by_difficulty, halting_by_difficulty
from inverse_graphics.studies.adaptive_tables import AdaptiveRow, working_range

RECIPE = """\
name: tiny
data: {kind: parity, bits: 2}
model: {kind: adaptive, hidden: 16, max_steps: 4, input_gain: 4.0}
objective: {kind: act, time_penalty: 0.001}
optimiser: {learning_rate: 0.02}
steps: 120
batch_size: 64
threads: 1
evaluation: {every: 40, size: 400}
checkpoint_every: 60
"""
PICTURES = ("penalties.png", "difficulty.png", "curves.png", "halting.png")


@pytest.mark.learning
def test_act_beside_fixed_steps_learns_two_bits_and_says_so(study, place, capsys):
    options = ("--penalties", "0.001", "--repetitions", "2", "--seeds", "0,1")
    assert study("act", *options) == 0
    out = place / "out"
    results = json.loads((out / "results.json").read_text())
    assert [run["variant"] for run in results["runs"]] == ["act/0.001", "repeat/2"] * 2
    assert all(run["finished"] for run in results["runs"])
    # seen: 0 with each of 5 seeds, at step 80 already
    for variant in ("act/0.001", "repeat/2"):
        errors = [r["evaluation"]["metrics"]["error"] for r in results["runs"] if r["variant"] == variant]
        assert min(errors) <= 0.01
    assert {run["evaluation"]["metrics"]["steps"] for run in results["runs"] if run["repetitions"]} == {2.0}
    with (out / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4
    for name in PICTURES:
        with Image.open(out / name) as picture:
            assert picture.getbbox() is not None
        assert (out / name).with_suffix(".svg").stat().st_size > 1000
    assert "| act | 0.001 | 2 of 2 |" in (out / "summary.md").read_text()
    before = (out / "runs" / "act-0.001-seed0" / "evaluation.json").stat().st_mtime_ns
    capsys.readouterr()
    assert study("act", *options) == 0, "everything is there"
    assert (out / "runs" / "act-0.001-seed0" / "evaluation.json").stat().st_mtime_ns == before
    assert "training tiny" not in capsys.readouterr().err


def test_pact_compares_its_methods_and_reports_without_training(study, place, capsys):
    assert study("pact", "--methods", "relaxed,reinforce", "--penalties", "0.01", "--seeds", "0") == 0
    out = place / "out"
    (out / "summary.md").unlink()
    assert study("pact", "--no-train", "--methods", "relaxed", "--penalties", "0.01", "--seeds", "0") == 0
    assert "| relaxed | 0.01 | 1 of 1 |" in (out / "summary.md").read_text()
    capsys.readouterr()
    assert study("pact", "--no-train", "--penalties", "0.5", "--seeds", "0") == 1
    assert "contains no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        (("--penalties", "much"), "expected numbers"),
        (("--seeds", "one"), "expected whole numbers"),
        (("--repetitions", "1.5"), "expected whole numbers"),
    ],
)
def test_what_is_no_number_is_refused(study, place, capsys, options, reported):
    assert study("act", *options) == 2
    assert reported in " ".join(capsys.readouterr().err.split())


def test_recipes_of_other_models_and_unknown_methods_are_refused(tmp_path, capsys):
    assert main(["study", "act", "--recipe", "multi_mnist", "--out", str(tmp_path / "out")]) == 1
    assert "trains no adaptive network" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="known methods: act, relaxed"):
        adaptive_variants(["guess"], [0.1], [])


def network(problem):
    settings = AdaptiveSettings(cell="gru", hidden=8, max_steps=5, halting_bias=-0.5)
    torch.manual_seed(0)
    return SequenceNetwork(SequenceNetworkSettings(problem=problem, model=settings))


def test_figures_by_difficulty_are_means_over_its_inputs():
    problem = Sort(shortest=2, longest=4)
    made, batch = network(problem), evaluation_batch(problem, 90, 0)
    scores = evaluate_sequences(made, batch, Accumulated())
    rows = by_difficulty(scores)
    assert [row["difficulty"] for row in rows] == [2, 3, 4]
    assert sum(row["inputs"] for row in rows) == batch.lengths.sum()
    whole = sum(row["inputs"] * row["steps"] for row in rows) / batch.lengths.sum()
    assert whole == pytest.approx(scores.metrics()["steps"])
    wrong = sum(row["inputs"] / 2 * row["wrong"] for row in rows) / (batch.lengths.sum() / 2)
    assert wrong == pytest.approx(scores.metrics()["wrong_inputs"])


@pytest.mark.parametrize("halting", [Accumulated(), Thresholded()], ids=repr)
def test_shares_of_the_step_at_which_it_halts_sum_to_one(halting):
    problem = Sort(shortest=2, longest=4)
    rows = halting_by_difficulty(network(problem), evaluation_batch(problem, 90, 0), halting)
    assert [row["difficulty"] for row in rows] == [2, 3, 4]
    assert all(sum(row["shares"]) == pytest.approx(1) for row in rows)


def test_the_working_range_is_where_nearly_all_seeds_solve_it():
    def row(setting, solved):
        return AdaptiveRow("act", setting, "10 of 10", solved, 0.0, 0.0, 1.0, 1.0, None)

    works, tried = working_range([row("0.001", 9), row("0.01", 8), row("0.1", 10)], "act")
    assert works == ["0.001", "0.1"]
    assert tried == ["0.001", "0.01", "0.1"]
