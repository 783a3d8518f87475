"""The training task of the 2D model, on multi-MNIST and similar data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inverse_graphics.data.multi_object import MultiObjectBatch
from inverse_graphics.data.sources import open_streams
from inverse_graphics.devices import resolve_device
from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d.inference import read_images
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.elbo import exact_count_elbo
from inverse_graphics.models.estimators.estimator import AirObjective, EstimatorSettings
from inverse_graphics.models.outlier_detector import OutlierDetector, ParsedImages
from inverse_graphics.training.model_card import model_card, write_model
from inverse_graphics.training.recipe import Air2DRecipe
from inverse_graphics.training.task import (
    TASKS,
    Evaluation,
    Metrics,
    NetworkTrainable,
    ParameterGroup,
    Report,
    Task,
)

BATCH = 500
"""Test images per forward pass."""
SHOWN = 8
"""Test images whose reconstructions are logged."""
CALIBRATION_SIZE = 20_000
"""Number of images for the outlier detector's mixture, and of images for its thresholds."""
FALSE_POSITIVE_RATE = 0.004
"""Share of in-distribution images that may get a warning."""


@TASKS.register("air2d")
def build_air2d_task(recipe: Air2DRecipe) -> Task:
    """Build the task: training images, test images, and an initialised network.

    Raises:
        DeviceError: this machine has no such device.
        DataError: the data is missing and cannot be fetched.
    """
    device = resolve_device(recipe.device)
    train, calibration, test = open_streams(recipe.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Air2D(recipe.model)
        trainable = _trainable(network, recipe.objective)
    trainable.module.to(device)
    test_images = test.fixed_set(recipe.evaluation.size, recipe.evaluation.seed)
    evaluator = Air2DEvaluator(network, recipe, test_images)

    def batch(step: int) -> Tensor:
        return to_network(train.batch(recipe.batch_size, recipe.seed, step).images).to(device)

    def export(folder: Path, metrics: Metrics, report: Report) -> None:
        report(
            f"fitting the outlier detector: reading {2 * CALIBRATION_SIZE:,} images, and "
            f"{recipe.evaluation.size:,} test images to measure it"
        )
        fitted, calibrated = (
            read_all(network, stream.fixed_set(CALIBRATION_SIZE, recipe.evaluation.seed).images)
            for stream in (train, calibration)
        )
        detector = OutlierDetector.fit(fitted, calibrated, FALSE_POSITIVE_RATE)
        warned = evaluator.evaluate_warning(detector) if detector else {}
        report("writing the model")
        write_model(folder, network, recipe, {**metrics, **warned}, model_card, detector)

    return Task(trainable, batch, evaluator.evaluate, export)


def _trainable(network: Air2D, settings: EstimatorSettings) -> NetworkTrainable:
    """Build the trainable network, with the estimator's baseline, if any, in a separate parameter group."""
    estimator = settings.estimator(network)
    module: nn.Module = network
    groups = [ParameterGroup(list(network.parameters()))]
    if estimator.helpers is not None:
        module = nn.ModuleDict({"network": network, "helpers": estimator.helpers})
        groups.append(ParameterGroup(list(estimator.helpers.parameters()), settings.helpers_rate))
    return NetworkTrainable(module, AirObjective(estimator, settings, network.max_objects).loss, groups)


def to_network(images: NDArray[np.float32]) -> Tensor:
    """Convert images (B, H, W) to the network's input (B, 1, H, W)."""
    return torch.from_numpy(images)[:, None]


def read_all(network: Air2D, images: NDArray[np.float32]) -> ParsedImages:
    """Infer the objects of many images.

    Args:
        images: (M, H, W).
    """
    device = next(network.parameters()).device
    readings = [
        read_images(network, block.to(device)).parsed_images()
        for block in torch.split(to_network(images), BATCH)
    ]
    return ParsedImages(*(np.concatenate(parts) for parts in zip(*readings, strict=True)))


@dataclass(frozen=True)
class Air2DEvaluator:
    """Evaluates a network on test images."""

    network: Air2D
    recipe: Air2DRecipe
    batch: MultiObjectBatch

    def evaluate(self) -> Evaluation:
        """Compute count accuracy, overall and by true count, at the posterior means; the bound and its parts.

        If the true counts are unknown, the mean inferred count replaces the accuracy. The bound is that of
        the schedule's last count prior, with one posterior sample per image.
        """
        counts = read_all(self.network, self.batch.images).counts
        if not self.recipe.data.counted:
            return Evaluation({**self._bound(), "mean_count": float(counts.mean())}, self._images())
        right = counts == self.batch.counts
        by_count = {
            f"count_{n}_accuracy": float(right[self.batch.counts == n].mean())
            for n in np.unique(self.batch.counts).tolist()
        }
        metrics = {"count_accuracy": float(right.mean()), **self._bound(), **by_count}
        return Evaluation(metrics, self._images())

    def evaluate_warning(self, detector: OutlierDetector) -> dict[str, float]:
        """Compute the share of the test images that get a warning."""
        warnings = detector.warnings(read_all(self.network, self.batch.images))
        return {"warned_share": sum(warning is not None for warning in warnings) / len(warnings)}

    def _bound(self) -> dict[str, float]:
        prior = truncated_geometric(self.recipe.objective.count_log_odds, self.network.max_objects)
        device = next(self.network.parameters()).device
        prior = prior.to(device)
        sampler = Reparameterised(torch.Generator().manual_seed(self.recipe.evaluation.seed))
        totals: dict[str, float] = {}
        for images in torch.split(to_network(self.batch.images), BATCH):
            inference = attend_infer_repeat(self.network, images.to(device), sampler)
            bound = exact_count_elbo(inference, prior)
            for name, part in bound._asdict().items():
                totals[name] = totals.get(name, 0.0) + float(part.sum())
        return {name: total / len(self.batch.counts) for name, total in totals.items()}

    def _images(self) -> dict[str, NDArray[np.float32]]:
        """The first images above their reconstructions: (2 H, K W, 3)."""
        images = to_network(self.batch.images[:SHOWN]).to(next(self.network.parameters()).device)
        reading = read_images(self.network, images)
        chosen = reading.prefixes[torch.arange(len(images), device=images.device), reading.counts]
        rows = [torch.cat(list(row), dim=-1) for row in (images[:, 0], chosen)]
        return {"reconstruction": torch.cat(rows)[..., None].expand(-1, -1, 3).cpu().numpy()}
