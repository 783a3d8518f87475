"""The training task of recurrent networks with adaptive computation on sequence problems."""

from __future__ import annotations

from pathlib import Path

import torch

from inverse_graphics.devices import resolve_device
from inverse_graphics.models.adaptive.sequence_evaluation import evaluate_sequences
from inverse_graphics.models.adaptive.sequence_network import (
    SequenceNetwork,
    SequenceNetworkSettings,
    Sequences,
)
from inverse_graphics.models.adaptive.sequence_objectives import (
    build_sequence_objective,
)
from inverse_graphics.sequences.problems import evaluation_batch, training_batch
from inverse_graphics.training.model_card import adaptive_model_card, write_model
from inverse_graphics.training.recipe import AdaptiveRecipe
from inverse_graphics.training.task import TASKS, Evaluation, Metrics, NetworkTrainable, Report, Task


@TASKS.register("adaptive")
def build_adaptive_task(recipe: AdaptiveRecipe) -> Task:
    """Build the task: training sequences, test sequences, and an initialised network.

    Raises:
        DeviceError: this machine has no such device.
        DataError: a text cannot be read, or is too short.
    """
    device = resolve_device(recipe.device)
    settings = SequenceNetworkSettings(problem=recipe.data, model=recipe.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = SequenceNetwork(settings)
    test = evaluation_batch(recipe.data, recipe.evaluation.size, recipe.evaluation.seed)
    halting = recipe.objective.evaluation_halting

    def batch(step: int) -> Sequences:
        return Sequences.from_batch(
            training_batch(recipe.data, recipe.batch_size, recipe.seed, step, recipe.curriculum_steps)
        ).to(device)

    def evaluate() -> Evaluation:
        return Evaluation(evaluate_sequences(network, test, halting).metrics())

    def export(folder: Path, metrics: Metrics, report: Report) -> None:
        report("writing the model")
        write_model(folder, network, recipe, metrics, adaptive_model_card, settings=settings)

    objective = build_sequence_objective(network, recipe.objective).to(device)
    trainable = NetworkTrainable(objective, lambda batch, _, rng: objective.loss(batch, rng))
    return Task(trainable, batch, evaluate, export)
