"""Seconds of training on the digits that ship, and the network counts digits it has never seen."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median

import pytest
import torch

from inverse_graphics.data.glyphs import Glyphs
from inverse_graphics.data.mnist import Part
from inverse_graphics.data.multi_object import MultiObjectImages
from inverse_graphics.evaluation.suites import intersection_over_union
from inverse_graphics.inference.parser import load_parser
from inverse_graphics.models.weights import load_model
from inverse_graphics.training import air2d_task
from inverse_graphics.training.recipe import load_recipe
from inverse_graphics.training.run import run
from inverse_graphics.training.state import TrainingState
from inverse_graphics.training.task import build_task

QUICK = (
    "data.digits=shipped",
    "steps=350",
    "optimiser.learning_rate=1e-3",
    "optimiser.decay=constant",
    "evaluation.every=350",
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


pytestmark = pytest.mark.learning


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, Path]:
    """The median of three networks: the accuracy of its counts, and its weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(air2d_task, "CALIBRATION_SIZE", 600)
        folders = [tmp_path_factory.mktemp("learning") / f"seed{seed}" for seed in range(3)]
        results = [
            run(load_recipe("multi_mnist", [*QUICK, f"seed={seed}"]), folder)
            for seed, folder in enumerate(folders)
        ]
    weights = [result.weights for result in results if result.weights is not None]
    return sorted((load_model(one).document.metrics["count_accuracy"], one) for one in weights)[1]


def test_it_counts_digits_it_has_never_seen(trained: tuple[float, Path]) -> None:
    """A third would be right by chance, and by counting the objects of an untrained network."""
    # lowest seen over 3 seeds on avx2 and one each on default and avx512: 0.89
    assert trained[0] > 0.8


def test_what_it_finds_is_where_the_digits_are(
    trained: tuple[float, Path], shipped_digits: dict[Part, Glyphs]
) -> None:
    batch = MultiObjectImages(shipped_digits["test"]).fixed_set(200, seed=5)
    overlaps = []
    for parse, boxes, count in zip(
        load_parser(trained[1]).parse(list(batch.images)), batch.boxes, batch.counts, strict=True
    ):
        if parse.count == count:
            overlaps += [
                max(intersection_over_union(found.box_px, box) for found in parse.objects)
                for box in boxes[:count].tolist()
            ]
    assert len(overlaps) > 100
    # seen: 0.95 and 1.0 with two seeds on avx2
    assert median(overlaps) > 0.8


@pytest.mark.slow
def test_difference_air_counts_one_more_than_it_was_taught() -> None:
    """Taught 0, 1 and 2 digits by a small network; of 3 it has seen none, and is often right even so."""
    # lowest seen over 3 seeds on avx2 and one each on default and avx512: 0.76, 0.77 and 0.36
    accuracies = [taught_to_two(seed) for seed in range(3)]
    assert median(one["count_accuracy"] for one in accuracies) > 0.6
    assert median(one["count_2_accuracy"] for one in accuracies) > 0.4
    assert median(one["count_3_accuracy"] for one in accuracies) > 0.2


def taught_to_two(seed: int) -> Mapping[str, float]:
    """Held-out figures after seconds of learning."""
    recipe = load_recipe("multi_mnist_dair", [*TINY_DAIR, f"seed={seed}"])
    task = build_task(recipe)
    state = TrainingState.begin(task.trainable, recipe.optimiser, recipe.steps, recipe.seed)
    for step in range(250):
        loss, _ = task.trainable.loss(task.batch(step), step, state.generator)
        state.optimiser.apply(loss, step)
    with torch.no_grad():
        return task.evaluate().metrics
