"""The weights that ship do what their card says; BENCHMARKS.md has the figures on more images."""

import pytest

from inverse_graphics.models.weights import load_model
from inverse_graphics.report.infer_benchmark import InferRow, benchmark_infer
from inverse_graphics.scene_parser import SceneParser

FAMILIAR = "multi-MNIST"
STRANGE_BUT_LIKE_DIGITS = {"Omniglot, inverted"}


@pytest.fixture(scope="module")
def rows(data_beside_repository: None) -> dict[str, InferRow]:
    judged = benchmark_infer(SceneParser.load("multi_mnist"), number=2000, digits="shipped", seed=7)
    return {row.images: row for row in judged}


def test_digits_never_learnt_from_are_counted_and_placed(rows):
    familiar = rows[FAMILIAR]
    assert familiar.count_accuracy > 0.99
    assert familiar.overlap > 0.95


def test_familiar_images_get_no_warning_and_foreign_ones_do(rows):
    assert rows[FAMILIAR].warned < 0.01
    foreign = rows.keys() - {FAMILIAR} - STRANGE_BUT_LIKE_DIGITS
    assert foreign >= {"uniform noise", "Gaussian noise", "salt noise", "photograph"}
    for kind in foreign:
        assert rows[kind].warned > 0.9, kind


def test_the_card_states_recipe_figures_and_thresholds():
    document = load_model("multi_mnist").document
    assert document.metrics["count_accuracy"] > 0.99
    assert document.familiarity is not None
    assert document.recipe is not None
    assert document.recipe["name"] == "multi_mnist"
