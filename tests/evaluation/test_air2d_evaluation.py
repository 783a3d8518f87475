"""Evaluating a 2D model: bounds in their order, counts as of reading image by image, and the command."""

import json

import numpy as np
import pytest
import torch

from inverse_graphics.cli.main import main
from inverse_graphics.data.sources import open_streams
from inverse_graphics.errors import ModelError
from inverse_graphics.evaluation.air2d import evaluate2d, recipe_of
from inverse_graphics.models.air2d.inference import read_images
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.weights import ModelDocument, load_model, save_model
from inverse_graphics.training.recipe import Air2DRecipe

SMALL = {"features": 12, "hidden": 12, "head": 12, "what": 3, "glimpse_size": 10, "glimpse_hidden": 12}


def recipe():
    document = {
        "name": "small",
        "data": {"digits": "shipped"},
        "model": SMALL | {"sigma": 1.0},
        "objective": {"count_log_odds": -1.0},
        "steps": 1,
    }
    return Air2DRecipe.model_validate(document)


def network(of):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        made = Air2D(of.model)
        with torch.no_grad():
            made.presence.weight.normal_(std=8.0)
            made.presence.bias.fill_(-0.5)
    return made


def test_more_samples_give_a_tighter_bound_and_the_same_elbo():
    of = recipe()
    one, few, many = (evaluate2d(network(of), of, 150, samples) for samples in (1, 4, 40))
    assert one["elbo"] < one["iwae"] < few["iwae"] < many["iwae"]
    assert few["elbo"] == pytest.approx(many["elbo"], abs=0.02 * abs(many["iwae"] - many["elbo"]) + 0.5)
    again = evaluate2d(network(of), of, 150, 4)
    assert again == few
    assert evaluate2d(network(of), of, 150, 4, seed=1)["elbo"] != few["elbo"]


def test_counts_are_those_of_reading_image_by_image():
    of = recipe()
    model = network(of)
    reported: list[int] = []
    figures = evaluate2d(model, of, 310, 1, advance=reported.append)
    assert reported == [250, 310]
    batch = open_streams(of.data).test.fixed_set(310, 0)
    matrix = np.zeros((4, 4), int)
    for image, count in zip(torch.from_numpy(batch.images)[:, None], batch.counts, strict=True):
        matrix[count, int(read_images(model, image[None]).counts[0])] += 1
    size = len(figures["count_confusion_true_by_inferred"])
    assert figures["count_confusion_true_by_inferred"] == matrix[:size, :size].tolist()
    assert figures["count_accuracy"] == pytest.approx(np.trace(matrix) / 310)
    by_count = figures["count_accuracy_by_count"]
    assert by_count == pytest.approx({str(n): matrix[n, n] / matrix[n].sum() for n in range(3)})


def test_counts_that_nobody_knows_are_not_evaluated():
    letters = {"kind": "omniglot", "letters": "shipped", "count_weights": [0, 1]}
    of = Air2DRecipe.model_validate(recipe().model_dump() | {"data": letters})
    figures = evaluate2d(network(of), of, 20, 2)
    assert set(figures) == {"images", "stream", "elbo", "iwae", "iwae_samples", "mean_count"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of weights that know their recipe."""
    of, folder = recipe(), tmp_path_factory.mktemp("models") / "small"
    document = ModelDocument(
        kind="air2d", settings=of.model.model_dump(mode="json"), recipe=of.model_dump(mode="json")
    )
    save_model(folder, network(of), document, "# Small\n")
    return folder


def test_the_command_shows_the_librarys_figures(trained, capsys):
    of = recipe()
    assert main(["evaluate", str(trained), "--images", "60", "--samples", "2", "--json", "-"]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert reported.pop("model") == str(trained)
    assert reported == json.loads(json.dumps(evaluate2d(network(of), of, 60, 2)))
    assert main(["evaluate", str(trained), "--images", "60", "--samples", "2"]) == 0
    text = capsys.readouterr().out
    assert f"correct counts, %: {100 * reported['count_accuracy']:.2f}" in text
    assert "true count" in text
    rows = [line.split() for line in text.splitlines()[-3:]]
    assert [row[0] for row in rows] == ["0", "1", "2"]


def test_other_models_and_models_without_a_recipe_are_refused(trained, tmp_path):
    assert recipe_of(load_model(trained)) == recipe()
    of = recipe()
    save_model(
        tmp_path / "bare",
        network(of),
        ModelDocument(kind="air2d", settings=of.model.model_dump(mode="json")),
        "# Bare\n",
    )
    with pytest.raises(ModelError, match="has no recipe"):
        recipe_of(load_model(tmp_path / "bare"))
    with pytest.raises(ModelError, match="is of type 'air3d'"):
        recipe_of(load_model("table_top"))
