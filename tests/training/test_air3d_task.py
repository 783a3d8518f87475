from __future__ import annotations

import re
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import BaseModel
from torch import Tensor

from inverse_graphics.models.air3d.elbo import ElboSettings
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D, Air3DSettings
from inverse_graphics.models.air3d.supervised import SupervisedSettings
from inverse_graphics.models.air3d.wake_sleep import (
    SleepSettings,
    StatePerturbation,
    WakeSleepSettings,
    sample_sleep_batch,
)
from inverse_graphics.models.weights import load_model
from inverse_graphics.rendering.engines import available_engines
from inverse_graphics.scene.tensor_batch import TensorBatch
from inverse_graphics.training import air3d_task
from inverse_graphics.training.air3d_task import TEST, TRAINING, SceneEvaluator, build_air3d_task, stream
from inverse_graphics.training.recipe import Air3DRecipe
from inverse_graphics.training.run import run
from inverse_graphics.training.state import TrainingState
from inverse_graphics.training.task import Task

FAMILY = {
    "kind": "table_top",
    "kinds": ["crockery/plate", "crockery/mug"],
    "count_weights": [1, 1],
    "azimuth_degrees": -90,
    "elevation_degrees": 45,
    "distance_m": 1.5,
    "field_of_view_degrees": 34,
    "image_size": 32,
}
MODEL = {
    "kind": "air3d",
    "family": FAMILY,
    "channels": [12, 16, 24],
    "hidden": 48,
    "precision": "float32",
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "sleep": {"kind": "sleep"},
    "wake_sleep": {"kind": "wake_sleep", "sleep_steps": 1, "samples": 2},
    "elbo": {"kind": "elbo", "warm_up_steps": 2, "samples": 2},
    "supervised": {"kind": "supervised"},
    "supervised as in the paper": {"kind": "supervised", "order": "shuffled", "modulo_symmetry": False},
}


def small(**changed: Any) -> Air3DRecipe:
    return Air3DRecipe.model_validate(
        {
            "name": "small",
            "model": MODEL,
            "objective": {"kind": "sleep"},
            "steps": 4,
            "batch_size": 8,
            "evaluation": {"every": 2, "size": 60},
            "checkpoint_every": 2,
        }
        | changed
    )


def network_of(task: Task) -> Air3D:
    network = task.trainable.module
    assert isinstance(network, Air3D)
    return network


def tensors_of(batch: Any) -> list[Tensor]:
    """All tensors of a batch, whatever it is made of."""
    if batch is None:
        return []
    if isinstance(batch, Tensor):
        return [batch]
    parts = vars(batch).values() if isinstance(batch, TensorBatch) else batch
    return [tensor for part in parts for tensor in tensors_of(part)]


def alike(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors_of(one), tensors_of(other), strict=True))


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
def test_batches_depend_on_seed_and_step_alone(objective: dict[str, Any]) -> None:
    task = build_air3d_task(small(objective=objective))
    batch = task.batch(3)
    task.batch(7)
    assert alike(batch, task.batch(3))
    assert not alike(batch, task.batch(4))
    with torch.no_grad():
        for parameter in network_of(task).parameters():
            parameter.add_(0.1)
    assert alike(batch, task.batch(3))  # whatever was learnt in between
    assert alike(batch, build_air3d_task(small(objective=objective)).batch(3))
    assert not alike(batch, build_air3d_task(small(objective=objective, seed=1)).batch(3))


@pytest.mark.parametrize(
    "noise", [{"kind": "student_t", "degrees_of_freedom": 3.0}, {"kind": "outliers", "share": 0.2}]
)
def test_a_recipes_noise_is_in_its_images_and_in_its_likelihood(noise: dict[str, Any]) -> None:
    objective = {"kind": "elbo", "warm_up_steps": 2, "samples": 2, "misfit_scale_nats": 100.0}
    tasks = [
        build_air3d_task(small(model=MODEL | more, objective=objective)) for more in ({}, {"noise": noise})
    ]
    plain, noisy = (network_of(task) for task in tasks)
    batches = [task.batch(0).rgb for task in tasks]
    apart = (batches[1] - batches[0]).abs()
    assert (apart > 0.3).any()  # six standard deviations
    assert apart.median() < 0.15
    observation = SceneEvaluator.sample(noisy, 40, 0).observation
    own, other = (
        read_scenes(noisy, observation).log_likelihood,
        read_scenes(plain, observation).log_likelihood,
    )
    assert (own > other).all()
    for step in (0, 2):
        loss, _ = tasks[1].trainable.loss(tasks[1].batch(step), step, stream(TRAINING, 0))
        loss.backward()
        gradients = [p.grad for p in noisy.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
    written = Air3DRecipe.model_validate(yaml.safe_load(small(model=MODEL | {"noise": noise}).to_yaml()))
    assert written.model.noise.model_dump() == noise


def test_streams_are_distinguished_by_all_their_numbers() -> None:
    numbers = [(TRAINING, 0, 0), (TRAINING, 0, 1), (TRAINING, 1, 0), (TEST, 0), (TEST, 1)]
    first = [float(torch.rand((), generator=stream(*one))) for one in numbers]
    assert len(set(first)) == len(numbers)
    assert first == [float(torch.rand((), generator=stream(*one))) for one in numbers]


def test_test_scenes_are_not_used_in_training_and_are_the_same_for_every_training_seed() -> None:
    evaluators = [
        SceneEvaluator.sample(network_of(build_air3d_task(small(seed=seed))), 60, 0) for seed in (0, 1)
    ]
    assert torch.equal(evaluators[0].observation.rgb, evaluators[1].observation.rgb)
    other = SceneEvaluator.sample(evaluators[0].network, 60, 1)
    assert not torch.equal(evaluators[0].observation.rgb, other.observation.rgb)
    judged = {tuple(place) for place in evaluators[0].scenes.position.flatten(1).tolist()}
    task = build_air3d_task(small())
    for step in range(40):
        train = task.batch(step).scenes
        some = train.position[train.counts > 0].flatten(1)
        assert not judged & {tuple(place) for place in some.tolist()}


def test_the_network_depends_on_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    one, other = (network_of(build_air3d_task(small())).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.random.get_rng_state(), before)
    third = network_of(build_air3d_task(small(seed=1))).state_dict()
    assert not all(torch.equal(one[name], third[name]) for name in one)


def test_an_evaluation_repeats_itself_and_shows_images_above_reconstructions() -> None:
    task = build_air3d_task(small())
    network = network_of(task).eval()
    first, second = task.evaluate(), task.evaluate()
    assert first.metrics == second.metrics
    assert 0 <= first.metrics["count_accuracy"] <= 1
    evaluator = SceneEvaluator.sample(network, 60, 0)
    reading = read_scenes(network, evaluator.observation)
    assert first.metrics["log_likelihood"] == pytest.approx(float(reading.log_likelihood.mean()), rel=1e-5)
    right = (reading.scenes.counts == evaluator.scenes.counts).float().mean()
    assert first.metrics["count_accuracy"] == pytest.approx(float(right))
    picture = first.images["reconstruction"]
    assert picture.shape == (64, 8 * 32, 3)
    above = evaluator.observation.rgb[:8].clamp(0, 1).permute(2, 0, 3, 1).reshape(32, 256, 3)
    np.testing.assert_allclose(picture[:32], above, atol=1e-6)


def test_a_judge_finds_nothing_wrong_with_the_truth() -> None:
    evaluator = SceneEvaluator.sample(network_of(build_air3d_task(small())), 60, 0)
    figures = evaluator.scene_metrics(evaluator.scenes).flat()
    assert figures["count_accuracy"] == figures["identity_of_all"] == 1
    assert figures["position_error_m_median"] == pytest.approx(0, abs=1e-6)
    nothing = evaluator.scenes.replace(asset=torch.full_like(evaluator.scenes.asset, -1))
    none = evaluator.scene_metrics(nothing).flat()
    empty = float((evaluator.scenes.counts == 0).float().mean())
    assert none["count_accuracy"] == pytest.approx(empty)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
def test_a_run_ends_in_weights_that_load(
    objective: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(air3d_task, "FIT_SIZE", 300)
    monkeypatch.setattr(air3d_task, "CALIBRATION_SIZE", 300)
    recipe = small(objective=objective)
    result = run(recipe, tmp_path / "run")
    assert result.weights is not None
    loaded = load_model(result.weights)
    assert loaded.document.metrics.items() >= result.history[-1]["held_out"].items()
    assert Air3DRecipe.model_validate(loaded.document.recipe) == recipe
    network = loaded.module
    assert isinstance(network, Air3D)
    assert loaded.document.objects == network.space.family.appearances
    again = SceneEvaluator.sample(network, 60, 0).evaluate()
    assert again.metrics == pytest.approx(result.history[-1]["held_out"], rel=1e-4, nan_ok=True)
    assert "Held-out figures" in (result.weights / "README.md").read_text()


ENGINES = [
    pytest.param(one.name, marks=pytest.mark.skipif(not one.works, reason=f"{one.name}: {one.reason}"))
    for one in available_engines()
]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_bound_is_climbed_through_any_engine(engine: str) -> None:
    recipe = small(engine=engine, objective={"kind": "elbo", "warm_up_steps": 2, "wake": 0})
    task = build_air3d_task(recipe)
    assert network_of(task).engine.name.removeprefix("Δ") == engine
    loss, _ = task.trainable.loss(task.batch(0), 0, stream(TRAINING, 0))
    loss.backward()
    places = network_of(task).location_head.vote.weight.grad
    assert loss.isfinite()
    assert places is not None
    assert places.isfinite().all()
    assert places.abs().max() > 0


def documented(heading: str) -> dict[str, Any]:
    """Settings and defaults in the table of docs/training.md that begins so."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    _, table = page.split(f"\n| {heading} | default | |\n", 1)
    rows = re.findall(r"^\| `(\S+)` \| (.+?) \|", table.split("\n\n", 1)[0], re.MULTILINE)
    return {name: yaml.safe_load(value.strip("`")) for name, value in rows}


def settings_of(kind: type[BaseModel]) -> dict[str, Any]:
    """Dotted names with defaults, `kind` itself not among them; what has kinds to choose from as a whole."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        inner = field.get_default()
        if isinstance(inner, BaseModel) and "kind" in type(inner).model_fields:
            found[name] = inner.model_dump()
        elif isinstance(inner, BaseModel):
            found |= {f"{name}.{key}": value for key, value in settings_of(type(inner)).items()}
        elif name != "kind":
            found[name] = "required" if field.is_required() else inner
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def test_the_page_on_training_names_every_setting_with_its_default() -> None:
    sleep = documented("`sleep`, `wake_sleep`")
    assert documented("`model.`") == settings_of(Air3DSettings)
    assert sleep == settings_of(SleepSettings)
    assert sleep | documented("`wake_sleep` also") == settings_of(WakeSleepSettings)
    assert documented("`elbo`") == settings_of(ElboSettings)
    assert documented("`supervised`") == settings_of(SupervisedSettings)


@torch.no_grad()
def predicted_for_new_scenes(network: Air3D, shift: int = 0) -> float:
    """Mean log q of the truth of scenes that were not used in training, nats.

    shift: 0 shows their own images, 1 those of other scenes.
    """
    exact = StatePerturbation(position_m=0, orientation_degrees=0, camera_degrees=0, camera_m=0, wrong_kind=0)
    batch = sample_sleep_batch(
        network.space, network.engine, network.observation_model, exact, 200, stream(TEST, 5)
    )
    observation = batch.observation.map(lambda part: part.roll(shift, 0))
    return float(log_posterior(network, observation, batch.scenes, batch.prefixes).total.mean())


@pytest.mark.learning
@pytest.mark.parametrize(("normalise", "counted"), [(False, 0.85), (True, 0.65)])
def test_a_network_learns_in_the_sleep_phase_what_is_on_a_table(normalise: bool, counted: float) -> None:
    """A plate, a mug or nothing, by sleep alone: half a table's count is guessed right by chance."""
    # without normalised maps, seen at worst over 1 to 3 seeds each on default, avx2 and avx512 with 1 and 2
    # threads: 4.2, 95, 1.0, 1.0 and 0.015; with them, on avx512: 4.8, 116, 0.77 (one of the two kinds is not
    # counted after so few steps, nor after 300 by one seed of three), 1.0 and 0.012
    results = [train_by_sleep(seed, normalise) for seed in range(3)]
    medians = {name: median(one[name] for one in results) for name in results[0]}
    assert medians["gain"] > 2
    assert medians["gain_by_image"] > 5
    assert medians["count_accuracy"] > counted
    assert medians["identity_of_matched"] > 0.8
    assert medians["position_error_m_median"] < 0.05


def train_by_sleep(seed: int, normalise: bool) -> dict[str, float]:
    """What a small network knows after seconds of sleep.

    Returns:
        Held-out figures, and in nats: `gain`, how much log q of the truth rose, and `gain_by_image`, by how
        much it is above that of the truth where an image of another scene is shown.
    """
    model = {**MODEL, "normalise_maps": normalise}
    evaluation = {"every": 180, "size": 200}
    recipe = small(seed=seed, steps=180, batch_size=32, evaluation=evaluation, model=model)
    task = build_air3d_task(recipe)
    state = TrainingState.begin(task.trainable, recipe.optimiser, recipe.steps, recipe.seed)
    network = network_of(task)
    before = predicted_for_new_scenes(network.eval())
    network.train()
    for step in range(recipe.steps):
        loss, _ = task.trainable.loss(task.batch(step), step, state.generator)
        assert state.optimiser.apply(loss, step) is not None
    network.eval()
    after = predicted_for_new_scenes(network)
    gains = {"gain": after - before, "gain_by_image": after - predicted_for_new_scenes(network, shift=1)}
    return gains | dict(task.evaluate().metrics)
