"""`study counting`, `study estimators`: from the command line to the end, gone on with, and reported on."""

import json

import pytest
from PIL import Image

from inverse_graphics.data.sources import open_streams
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.studies import counting, estimators
from inverse_graphics.studies.counting_plots import scanning_maps
from inverse_graphics.studies.training_stages import SHOWN, read_snapshot, spread, stage_steps
from inverse_graphics.training import air2d_task
from inverse_graphics.training.air2d_task import to_network
from inverse_graphics.training.recipe import Air2DRecipe, load_recipe

RECIPE = """\
name: tiny
data: {digits: shipped}
model: {features: 12, hidden: 12, head: 12, what: 3, glimpse_size: 10, glimpse_hidden: 12}
objective: {warm_up_steps: 3, annealing_steps: 4}
optimiser: {average: 0.9}
steps: 6
batch_size: 8
threads: 1
evaluation: {every: 2, size: 60}
checkpoint_every: 3
"""


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(air2d_task, "CALIBRATION_SIZE", 300)
    monkeypatch.setattr(counting, "SCANNED", 100)


def test_counting_by_seed_is_trained_evaluated_drawn_and_found_again(study, place, capsys):
    assert study("counting", "--seeds", "0,1", "--json", str(place / "rows.json")) == 0
    out = place / "out"
    (row,) = json.loads((place / "rows.json").read_text())
    assert (row["variant"], row["seeds"]) == ("as_it_is", "2 of 2")
    results = json.loads((out / "results.json").read_text())
    accuracies = [run["evaluation"]["count_accuracy"] for run in results["runs"]]
    assert row["count_accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert row["worst"] == min(accuracies)
    for name in ("curves", "scanning"):
        assert (out / f"{name}.svg").stat().st_size > 1000
    with Image.open(out / "stages-as_it_is.png") as sheet:
        assert sheet.size == (2 * (8 * 50 + 7 * 2), 2 * (4 * 50 + 3 * 2))  # images, three stages, gaps
    assert (out / "confusions.png").is_file()
    judged = out / "runs" / "as_it_is-seed0" / "evaluation.json"
    before = judged.stat().st_mtime_ns
    capsys.readouterr()
    assert study("counting", "--seeds", "0,1") == 0
    assert judged.stat().st_mtime_ns == before
    assert "training tiny" not in capsys.readouterr().err
    (out / "summary.md").unlink()
    assert study("counting", "--seeds", "1", "--no-train") == 0
    assert "| as_it_is | 1 of 1 |" in (out / "summary.md").read_text()


def test_estimators_end_with_a_table_of_gradients(study, place, monkeypatch, capsys):
    variants = "exact"
    monkeypatch.setattr("inverse_graphics.studies.estimators.report_gradients.__defaults__", (5, 2))
    assert study("estimators", "--seeds", "0", "--variants", variants) == 0
    out = place / "out"
    spreads = json.loads((out / "gradients.json").read_text())["spreads"]
    assert {one["stage"]: one["step"] for one in spreads} == {"start": 0, "middle": 3, "end": 5}
    assert len(spreads) == 3 * len(estimators.ESTIMATORS)
    assert all(one["variance"] > 0 and one["square"] >= 0 for one in spreads)
    assert (out / "gradients.md").read_text().count("\n| ") == 1 + len(estimators.ESTIMATORS)
    with Image.open(out / "gradients.png") as picture:
        assert picture.getbbox() is not None
    capsys.readouterr()
    assert study("estimators", "--seeds", "0", "--variants", variants) == 0
    assert "measuring gradients" not in capsys.readouterr().err


def test_snapshots_are_the_weights_of_their_steps(study, place):
    """The first is the network as it is drawn; a run of half as many steps ends where the second stands."""
    assert study("counting", "--seeds", "0", "--set", "optimiser.average=null") == 0
    run = place / "out" / "runs" / "as_it_is-seed0"
    recipe = load_recipe(run / "recipe.yaml")
    assert isinstance(recipe, Air2DRecipe)
    fresh = air2d_task.build_air2d_task(recipe).trainable.module.state_dict()
    steps = stage_steps(recipe.steps)
    start, middle = (read_snapshot(run, recipe, steps[space]).state_dict() for space in ("start", "middle"))
    assert all((start[name] == tensor).all() for name, tensor in fresh.items())
    assert any((start[name] != tensor).any() for name, tensor in middle.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--variants", "exakt"), "no variant 'exakt': did you mean exact"),
        (("--recipe", "table_top"), "table_top trains no 2D model"),
        (("--no-train",), "contains no run that has been evaluated"),
        (("--set", "seed=3"), "seed cannot be set for all runs"),
    ],
)
def test_what_cannot_be_studied_is_reported_in_one_line(study, place, capsys, arguments, message):
    assert study("counting", *arguments) == 1
    reported = capsys.readouterr().err
    assert message in reported
    assert reported.count("\n") == 1


def test_variants_that_ship_fit_the_recipe():
    from inverse_graphics.studies.variants import shipped_variants, varied_recipe

    for variant in shipped_variants("counting").values():
        recipe = varied_recipe("multi_mnist", variant)
        assert isinstance(recipe, Air2DRecipe)
        kinds = [text.partition("=")[2] for text in variant.overrides if text.startswith("objective.kind=")]
        assert [recipe.objective.kind] == (kinds or ["exact"])


def test_maps_count_every_object_found_where_its_window_is(place):
    recipe = load_recipe(place / "tiny.yaml")
    assert isinstance(recipe, Air2DRecipe)
    network = air2d_task.build_air2d_task(recipe).trainable.module
    assert isinstance(network, Air2D)
    images = to_network(open_streams(recipe.data).test.fixed_set(70, 0).images)
    maps = scanning_maps(network, images)
    counts = air2d_task.read_all(network, images[:, 0].numpy()).counts
    assert maps.sum() == counts.sum() > 0
    assert [int(of_step.sum()) for of_step in maps] == [int((counts > step).sum()) for step in range(3)]


def test_stages_shown_begin_and_end_with_the_run_and_drift_apart():
    for number in range(1, 60):
        chosen = spread(number)
        assert chosen[0] == 0
        assert chosen[-1] == number - 1
        assert chosen == sorted(set(chosen))
        assert len(chosen) == min(number, SHOWN)
