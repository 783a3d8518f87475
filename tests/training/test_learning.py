"""Seconds of training on the digits that ship, and the network counts digits it has never seen."""

from pathlib import Path

import pytest
import torch

from inverse_graphics.data.glyphs import Glyphs
from inverse_graphics.data.mnist import Part
from inverse_graphics.data.multi_object import MultiObjectImages
from inverse_graphics.evaluation.suites import intersection_over_union
from inverse_graphics.inference.parser import load_parser
from inverse_graphics.models.weights import load_model
from inverse_graphics.training.recipe import load_recipe
from inverse_graphics.training.run import run
from inverse_graphics.training.state import TrainingState
from inverse_graphics.training.tasks import build_task

QUICK = (
    "data.digits=shipped",
    "steps=450",
    "optimiser.learning_rate=1e-3",
    "optimiser.decay=constant",
    "evaluation.every=450",
    "evaluation.size=600",
)

TINY_DAIR = (
    "data.digits=shipped",
    "model={sees: difference, features: 96, hidden: 96, head: 64, what: 20, glimpse_hidden: 100}",
    "objective={warm_up_steps: 2500, annealing_steps: 300, count_log_odds: -40}",
    "optimiser={learning_rate: 2.0e-3, gradient_clip: 1000}",
    "batch_size=32",
    "evaluation.size=600",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = run(load_recipe("multi_mnist", QUICK), tmp_path_factory.mktemp("learning") / "run")
    assert result.weights is not None
    return result.weights


def test_it_counts_digits_it_has_never_seen(trained: Path) -> None:
    """A third would be right by chance, and by counting the objects of an untrained network."""
    metrics = load_model(trained).document.metrics
    assert metrics["count_accuracy"] > 0.85


def test_what_it_finds_is_where_the_digits_are(trained: Path, shipped_digits: dict[Part, Glyphs]) -> None:
    batch = MultiObjectImages(shipped_digits["test"]).fixed_set(200, seed=5)
    overlaps = []
    for parse, boxes, count in zip(
        load_parser(trained).parse(list(batch.images)), batch.boxes, batch.counts, strict=True
    ):
        if parse.count == count:
            overlaps += [
                max(intersection_over_union(found.box_px, box) for found in parse.objects)
                for box in boxes[:count].tolist()
            ]
    assert len(overlaps) > 100
    assert sorted(overlaps)[len(overlaps) // 2] > 0.8


def test_difference_air_counts_one_more_than_it_was_taught() -> None:
    """Taught 0, 1 and 2 digits by a small network; of 3 it has seen none, and is often right even so."""
    recipe = load_recipe("multi_mnist_dair", TINY_DAIR)
    task = build_task(recipe)
    state = TrainingState.begin(task.trainable, recipe.optimiser, recipe.steps, recipe.seed)
    for step in range(300):
        loss, _ = task.trainable.loss(task.batch(step), step, state.generator)
        state.optimiser.apply(loss, step)
    with torch.no_grad():
        metrics = task.evaluate().metrics
    assert metrics["count_accuracy"] > 0.7
    assert metrics["count_2_accuracy"] > 0.6
    assert metrics["count_3_accuracy"] > 0.25
