"""The task of thinking as long as it takes: a recurrent network on a problem over sequences."""

from __future__ import annotations

from pathlib import Path

import torch

from inverse_graphics.models.adaptive.sequence_evaluation import evaluate_sequences
from inverse_graphics.models.adaptive.sequence_network import (
    SequenceNetwork,
    SequenceNetworkSettings,
    Sequences,
)
from inverse_graphics.models.adaptive.sequence_objectives import (
    build_sequence_objective,
)
from inverse_graphics.models.weights import ModelDocument, save_model
from inverse_graphics.sequences.problems import evaluation_batch, training_batch
from inverse_graphics.training.model_card import adaptive_model_card
from inverse_graphics.training.recipe import AdaptiveRecipe
from inverse_graphics.training.task import TASKS, Evaluation, Metrics, NetworkTrainable, ParameterGroup, Task


@TASKS.register("adaptive")
def build_adaptive_task(recipe: AdaptiveRecipe) -> Task:
    """Sequences to learn from, others to be judged on, and a freshly drawn network.

    Raises:
        DataError: a text cannot be read, or is too short.
    """
    settings = SequenceNetworkSettings(problem=recipe.data, model=recipe.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = SequenceNetwork(settings)
    held_out = evaluation_batch(recipe.data, recipe.evaluation.size, recipe.evaluation.seed)
    halting = recipe.objective.evaluation_halting

    def batch(step: int) -> Sequences:
        return Sequences.from_batch(
            training_batch(recipe.data, recipe.batch_size, recipe.seed, step, recipe.curriculum_steps)
        )

    def evaluate() -> Evaluation:
        return Evaluation(evaluate_sequences(network, held_out, halting).metrics())

    def export(folder: Path, metrics: Metrics) -> None:
        document = ModelDocument(
            kind="adaptive",
            settings=settings.model_dump(mode="json"),
            recipe=recipe.model_dump(mode="json"),
            metrics=dict(metrics),
        )
        save_model(folder, network, document, adaptive_model_card(recipe, document))

    objective = build_sequence_objective(network, recipe.objective)
    groups = [ParameterGroup(list(objective.parameters()))]
    trainable = NetworkTrainable(objective, groups, lambda batch, _, rng: objective.loss(batch, rng))
    return Task(trainable, batch, evaluate, export)
