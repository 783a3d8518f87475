"""The weights that ship do what their card says; BENCHMARKS.md has the figures on more images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from inverse_graphics.benchmarks.infer import InferRow, benchmark_infer
from inverse_graphics.evaluation.scene_images import InDistributionScenes, render_images, scene_scores
from inverse_graphics.inference.parser import DEFAULT_MODEL, load_parser
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.models.weights import load_model
from inverse_graphics.scene.batch import CameraBatch

FAMILIAR = "multi-MNIST"
STRANGE_BUT_LIKE_DIGITS = {"Omniglot, inverted"}


@pytest.fixture(scope="module")
def rows(data_beside_repository: None) -> dict[str, InferRow]:
    judged = benchmark_infer(load_parser("multi_mnist"), number=2000, digits="shipped", seed=7)
    return {row.images: row for row in judged}


def test_digits_never_learned_from_are_counted_and_placed(rows):
    in_distribution = rows[FAMILIAR]
    assert in_distribution.count_accuracy > 0.99
    assert in_distribution.overlap > 0.95


def test_in_distribution_images_get_no_warning_and_foreign_ones_do(rows):
    assert rows[FAMILIAR].warned < 0.01
    out_of_distribution = rows.keys() - {FAMILIAR} - STRANGE_BUT_LIKE_DIGITS
    assert out_of_distribution >= {"uniform noise", "Gaussian noise", "salt noise", "photograph"}
    for kind in out_of_distribution:
        assert rows[kind].warned > 0.9, kind


@pytest.fixture(scope="module")
def table_rows() -> dict[str, InferRow]:
    judged = benchmark_infer(load_parser("table_top"), number=500, digits="shipped", seed=7)
    return {row.images: row for row in judged}


def test_objects_on_a_table_are_counted_named_and_placed(table_rows):
    in_distribution = table_rows["table_top"]
    assert in_distribution.count_accuracy > 0.985
    assert in_distribution.identity_accuracy > 0.98
    assert in_distribution.position_error_m < 0.006
    assert in_distribution.rotation_error_degrees < 8
    assert in_distribution.camera_error_degrees < 1.5


def test_in_distribution_tables_get_no_warning_and_everything_else_does(table_rows):
    assert table_rows["table_top"].warned < 0.015
    for kind in table_rows.keys() - {"table_top"}:
        assert table_rows[kind].warned > 0.95, kind


def test_larger_and_wider_pictures_of_tables_are_answered_as_well():
    parser = load_parser("table_top")
    known = InDistributionScenes.from_document(parser.document)
    scenes = known.sample(100, 7)
    wider = torch.tensor([[3.0, 0, 32], [0, 3, 0], [0, 0, 1]]) @ scenes.camera.K
    camera = CameraBatch(wider, scenes.camera.T_world_camera, 192, 256)
    parses = parser.parse(render_images(replace(scenes, camera=camera), known.family))
    marked = scene_scores(parses, PredictedScenes.from_batch(scenes), known.family)
    assert (marked.identity_accuracy or 0) > 0.97
    assert np.mean([parse.warning is not None for parse in parses]) < 0.05


@pytest.mark.parametrize("name", ["multi_mnist", "table_top", "single_object"])
def test_the_card_states_recipe_figures_and_thresholds(name):
    document = load_model(name).document
    assert document.metrics["count_accuracy"] > 0.985
    assert document.familiarity is not None
    assert document.recipe is not None
    assert document.recipe["name"] == name


def test_the_default_model_is_that_of_objects_on_a_table():
    assert load_parser().name == DEFAULT_MODEL == "table_top"
