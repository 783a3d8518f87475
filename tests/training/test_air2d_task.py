from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inverse_graphics.models.weights import load_model
from inverse_graphics.training import air2d_task
from inverse_graphics.training.air2d_task import build_air2d_task
from inverse_graphics.training.recipe import Air2DRecipe
from inverse_graphics.training.run import run

SMALL = {
    "features": 16,
    "hidden": 16,
    "head": 16,
    "what": 4,
    "glimpse_size": 12,
    "glimpse_hidden": 16,
}


@pytest.fixture
def recipe() -> Air2DRecipe:
    return Air2DRecipe.model_validate(
        {
            "name": "small",
            "data": {"digits": "shipped"},
            "model": SMALL,
            "steps": 4,
            "batch_size": 8,
            "evaluation": {"every": 2, "size": 60},
            "checkpoint_every": 2,
        }
    )


def test_it_learns_from_training_digits_batch_by_batch(recipe: Air2DRecipe) -> None:
    task = build_air2d_task(recipe)
    images = task.batch(3)
    assert images.shape == (8, 1, 50, 50)
    assert torch.equal(images, task.batch(3))
    assert not torch.equal(images, task.batch(4))
    assert not torch.equal(images, build_air2d_task(recipe.model_copy(update={"seed": 1})).batch(3))


def test_a_recipes_noise_is_its_likelihood(recipe: Air2DRecipe) -> None:
    """White dots, of which no object could be made, cost a robust likelihood little."""
    costs = []
    for noise in ({"kind": "gaussian"}, {"kind": "outliers", "share": 0.01}):
        model = SMALL | {"sigma": 0.1, "noise": noise}
        task = build_air2d_task(Air2DRecipe.model_validate(recipe.model_dump() | {"model": model}))
        images, generator = task.batch(0), torch.Generator()
        dotted = images.clone()
        dotted[:, :, ::10, ::10] = 1
        with torch.no_grad():
            plain, worse = (
                task.trainable.loss(batch, 0, generator.manual_seed(0))[0] for batch in (images, dotted)
            )
        costs.append(float(worse - plain))
    assert 0 < costs[1] < costs[0] / 3


def test_the_network_depends_on_the_seed_alone(recipe: Air2DRecipe) -> None:
    before = torch.random.get_rng_state()
    one, other = (build_air2d_task(recipe).trainable.module.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.random.get_rng_state(), before)
    third = build_air2d_task(recipe.model_copy(update={"seed": 1})).trainable.module.state_dict()
    assert not torch.equal(one["encoder.weight"], third["encoder.weight"])


def test_an_evaluation_repeats_itself_and_adds_up(recipe: Air2DRecipe) -> None:
    task = build_air2d_task(recipe)
    with torch.no_grad():
        first, second = task.evaluate(), task.evaluate()
    assert first.metrics == second.metrics
    m = first.metrics
    assert m["elbo"] == pytest.approx(m["log_likelihood"] - m["kl_objects"] - m["kl_count"], rel=1e-4)
    assert 0 <= m["count_accuracy"] <= 1
    image = first.images["reconstruction"]
    assert image.shape == (100, 400, 3)
    assert image.max() <= 1
    assert np.array_equal(image[:50, :, 0], image[:50, :, 2])


@pytest.fixture
def few_for_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(air2d_task, "CALIBRATION_SIZE", 600)


OBJECTIVES: list[dict[str, object]] = [
    {"kind": "score_function", "baseline_hidden": 8},
    {"kind": "score_function", "baseline_hidden": 0},
    {"kind": "concrete"},
    {"kind": "iwae", "samples": 2},
    {"kind": "wake_sleep", "samples": 2},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
@pytest.mark.usefixtures("few_for_thresholds")
def test_every_estimator_trains_stops_and_goes_on(
    objective: dict[str, object], recipe: Air2DRecipe, tmp_path: Path
) -> None:
    """Resumed half way, the weights are those of a run in one go; the baseline is not exported."""
    document = recipe.model_dump() | {"objective": objective, "evaluation": {"every": 4, "size": 20}}
    whole = Air2DRecipe.model_validate(document)
    half = whole.model_copy(update={"steps": 2})
    run(half, tmp_path / "halves")
    results = run(whole, tmp_path / "halves", resume=True), run(whole, tmp_path / "whole")
    weights = [load_model(result.weights or "").module.state_dict() for result in results]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert not any("helpers" in name for name in weights[1])
    assert not torch.equal(
        weights[1]["encoder.weight"],
        build_air2d_task(whole).trainable.module.state_dict()[
            "network.encoder.weight" if objective == OBJECTIVES[0] else "encoder.weight"
        ],
    )


def test_the_baseline_has_a_learning_rate_of_its_own(recipe: Air2DRecipe) -> None:
    document = recipe.model_dump() | {"objective": {"kind": "score_function", "baseline_rate": 7.0}}
    trainable = build_air2d_task(Air2DRecipe.model_validate(document)).trainable
    groups = trainable.parameter_groups()
    assert [group.rate for group in groups] == [1.0, 7.0]
    assert sum(len(group.parameters) for group in groups) == len(list(trainable.module.parameters()))


@pytest.mark.usefixtures("few_for_thresholds")
def test_a_run_ends_in_weights_that_load(recipe: Air2DRecipe, tmp_path: Path) -> None:
    result = run(recipe, tmp_path / "run")
    assert result.weights is not None
    loaded = load_model(result.weights)
    assert loaded.document.metrics.items() >= result.history[-1]["held_out"].items()
    assert Air2DRecipe.model_validate(loaded.document.recipe) == recipe
    card = (result.weights / "README.md").read_text()
    assert "Held-out figures" in card
    assert "These weights give no warnings" in card
    assert loaded.document.familiarity is None
