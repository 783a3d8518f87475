"""Evaluation of 2D models on held-out images: bounds, counts, calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inverse_graphics.data.sources import open_streams
from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.errors import ModelError
from inverse_graphics.metrics.count_metrics import count_calibration, count_confusion
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d.inference import read_images
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.elbo import exact_count_elbo
from inverse_graphics.models.estimators.multi_sample import log_joint
from inverse_graphics.models.weights import LoadedModel
from inverse_graphics.training.recipe import Air2DRecipe

BATCH_SIZE = 250
"""Images per forward pass."""


def recipe_of(model: LoadedModel) -> Air2DRecipe:
    """Get the recipe with which a 2D model was trained.

    Raises:
        ModelError: the model is of another type, or its recipe is unknown.
    """
    if model.document.kind != "air2d":
        raise ModelError(
            f"model '{model.name}' is of type '{model.document.kind}', expected a 2D or 3D model, which "
            "parses images"
        )
    if model.document.recipe is None:
        raise ModelError(f"model '{model.name}' has no recipe: train it again")
    return Air2DRecipe.model_validate(model.document.recipe)


@torch.no_grad()
def evaluate2d(
    network: Air2D,
    recipe: Air2DRecipe,
    images: int,
    samples: int,
    seed: int = 0,
    advance: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Evaluate a network on the held-out images of its recipe.

    Args:
        network: the model.
        recipe: the recipe that defines images and count prior.
        images: number of images.
        samples: samples per image of the bounds.
        seed: seed of images and samples.
        advance: called with the number of images done.

    Returns:
        Figures by name, serialisable as JSON: bounds in nats, accuracies as shares.

    Raises:
        DataError: the data is missing and cannot be fetched.

    """
    batch = open_streams(recipe.data).test.fixed_set(images, seed)
    device = next(network.parameters()).device
    prior = truncated_geometric(recipe.objective.count_log_odds, network.max_objects).to(device)
    generator = torch.Generator().manual_seed(seed)
    elbo, evidence, counts, probabilities = [], [], [], []
    for images_of_block in torch.split(torch.from_numpy(batch.images)[:, None], BATCH_SIZE):
        block = images_of_block.to(device)
        reading = read_images(network, block)
        counts.append(reading.counts.cpu().numpy())
        probabilities.append(reading.count_probabilities.cpu().numpy())
        bounds = _bounds(network, block, prior, samples, generator)
        elbo.append(bounds[0])
        evidence.append(bounds[1])
        advance(sum(map(len, counts)))
    figures: dict[str, Any] = {
        "images": images,
        "stream": seed,
        "elbo": float(torch.cat(elbo).double().mean()),
        "iwae": float(torch.cat(evidence).double().mean()),
        "iwae_samples": samples,
        "mean_count": float(np.concatenate(counts).mean()),
    }
    if not recipe.data.counted:
        return figures
    return figures | _counted(np.concatenate(counts), np.concatenate(probabilities), batch.counts)


def _bounds(
    network: Air2D, images: Tensor, prior: Tensor, samples: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Compute the ELBO, averaged over samples, and the importance-weighted bound: (B,) each.

    Both use the same samples. Importance weights are summed over the count, which tightens the second bound.
    """
    elbo, weights = [], []
    for _ in range(samples):
        inference = attend_infer_repeat(network, images, Reparameterised(generator))
        elbo.append(exact_count_elbo(inference, prior).elbo)
        weights.append(log_joint(network, inference, prior).logsumexp(-1))
    mean = torch.stack(weights).logsumexp(0) - torch.tensor(float(samples)).log()
    return torch.stack(elbo).mean(0), mean


def _counted(
    counts: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any], true: np.ndarray[Any, Any]
) -> dict[str, Any]:
    right = counts == true
    calibration = count_calibration(probabilities, true)
    return {
        "count_accuracy": float(right.mean()),
        "count_accuracy_by_count": {
            str(count): float(right[true == count].mean()) for count in np.unique(true).tolist()
        },
        "count_confusion_true_by_inferred": count_confusion(true, counts),
        "calibration_error": calibration.error,
        "count_log_score": calibration.log_score,
        "calibration_bins": [part._asdict() for part in calibration.bins],
    }
