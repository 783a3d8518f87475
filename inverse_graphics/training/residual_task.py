"""The training task of residual networks with adaptive computation, which classify the object of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.data.multi_object import MultiObjectBatch
from inverse_graphics.data.sources import open_streams
from inverse_graphics.devices import resolve_device
from inverse_graphics.errors import RecipeError
from inverse_graphics.models.residual.evaluation import ImageScores, evaluate_images
from inverse_graphics.models.residual.network import ResidualNetwork
from inverse_graphics.models.residual.objectives import (
    Labelled,
    build_residual_objective,
)
from inverse_graphics.training.model_card import residual_model_card, write_model
from inverse_graphics.training.recipe import ResidualRecipe
from inverse_graphics.training.task import TASKS, Evaluation, Metrics, NetworkTrainable, Report, Task

SHOWN = 8
"""Test images whose computation maps are logged."""


@TASKS.register("residual")
def build_residual_task(recipe: ResidualRecipe) -> Task:
    """Build the task: training images, test images, and an initialised network.

    Raises:
        DeviceError: this machine has no such device.
        DataError: the data is missing and cannot be fetched.
        RecipeError: the data has more classes than the network.
    """
    device = resolve_device(recipe.device)
    train, _, test = open_streams(recipe.data)
    classes = 1 + int(max(train.glyphs.labels.max(), test.glyphs.labels.max()))
    if classes > recipe.model.classes:
        raise RecipeError(
            f"model.classes is {recipe.model.classes}, and data of kind {recipe.data.kind} has {classes}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = ResidualNetwork(recipe.model)
    objective = build_residual_objective(network, recipe.objective).to(device)
    trainable = NetworkTrainable(objective, lambda batch, _, rng: objective.loss(batch, rng))
    test_images = labelled(test.fixed_set(recipe.evaluation.size, recipe.evaluation.seed)).to(device)
    kind = recipe.model.block_kind.by(recipe.objective.evaluation_halting)

    def batch(step: int) -> Labelled:
        return labelled(train.batch(recipe.batch_size, recipe.seed, step)).to(device)

    def evaluate() -> Evaluation:
        scores = evaluate_images(network, test_images, kind)
        return Evaluation(scores.metrics(), {"computation": shown_maps(test_images.images, scores, recipe)})

    def export(folder: Path, metrics: Metrics, report: Report) -> None:
        report("writing the model")
        write_model(folder, network, recipe, metrics, residual_model_card)

    return Task(trainable, batch, evaluate, export)


def labelled(batch: MultiObjectBatch) -> Labelled:
    """Convert images with one object each to labelled tensors."""
    return Labelled(torch.from_numpy(batch.images)[:, None], torch.from_numpy(batch.labels[:, 0]))


def shown_maps(images: Tensor, scores: ImageScores, recipe: ResidualRecipe) -> NDArray[np.float32]:
    """The first images above their computation maps, white where all units ran: (2 S, K S, 3)."""
    all_units = 3 * recipe.model.units
    rows = [images[:SHOWN, 0], scores.maps[:SHOWN].to(images) / all_units]
    return (
        torch.cat([torch.cat(list(row), dim=-1) for row in rows])[..., None].expand(-1, -1, 3).cpu().numpy()
    )
