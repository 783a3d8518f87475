"""The training task of the 2D model, on multi-MNIST and similar data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inverse_graphics.data.multi_object import MultiObjectBatch
from inverse_graphics.data.sources import open_streams
from inverse_graphics.distributions.discrete import truncated_geometric
from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d.inference import read_images
from inverse_graphics.models.air2d.network import Air2D
from inverse_graphics.models.elbo import exact_count_elbo
from inverse_graphics.models.estimators.estimator import AirObjective, EstimatorSettings
from inverse_graphics.models.outlier_detector import OutlierDetector, ParsedImages
from inverse_graphics.models.weights import ModelDocument, save_model
from inverse_graphics.training.model_card import model_card
from inverse_graphics.training.recipe import Air2DRecipe
from inverse_graphics.training.task import TASKS, Evaluation, Metrics, ParameterGroup, Task

BATCH = 500
"""Test images per forward pass."""
SHOWN = 8
"""Test images whose reconstructions are logged."""
CALIBRATION_SIZE = 20_000
"""Number of images for the outlier detector's mixture, and of images for its thresholds."""
FALSE_POSITIVE_RATE = 0.004
"""Share of in-distribution images that may get a warning."""


class Air2DTrainable:
    """The 2D model, its objective, and the objective's baseline, if it has one."""

    def __init__(self, network: Air2D, settings: EstimatorSettings) -> None:
        estimator = settings.estimator(network)
        self.objective = AirObjective(estimator, settings, network.max_objects)
        self.network, self._helpers = network, estimator.helpers
        self._helpers_rate = settings.helpers_rate

    @property
    def module(self) -> nn.Module:
        """The model, with the baseline if there is one."""
        if self._helpers is None:
            return self.network
        return nn.ModuleDict({"network": self.network, "helpers": self._helpers})

    def parameter_groups(self) -> list[ParameterGroup]:
        """The model's parameters, and the baseline's with their own learning rate."""
        groups = [ParameterGroup(list(self.network.parameters()))]
        if self._helpers is not None:
            groups.append(ParameterGroup(list(self._helpers.parameters()), self._helpers_rate))
        return groups

    def loss(
        self, batch: Tensor, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the negative objective of a batch, and the parts of its bound."""
        return self.objective.loss(batch, step, generator)


@TASKS.register("air2d")
def build_air2d_task(recipe: Air2DRecipe) -> Task:
    """Build the task: training images, test images, and an initialised network.

    Raises:
        DataError: the data is missing and cannot be fetched.
    """
    train, calibration, test = open_streams(recipe.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Air2D(recipe.model)
        trainable = Air2DTrainable(network, recipe.objective)
    test_images = test.fixed_set(recipe.evaluation.size, recipe.evaluation.seed)
    evaluator = Air2DEvaluator(network, recipe, test_images)

    def batch(step: int) -> Tensor:
        return to_network(train.batch(recipe.batch_size, recipe.seed, step).images)

    def export(folder: Path, metrics: Metrics) -> None:
        fitted, calibrated = (
            read_all(network, stream.fixed_set(CALIBRATION_SIZE, recipe.evaluation.seed).images)
            for stream in (train, calibration)
        )
        detector = OutlierDetector.fit(fitted, calibrated, FALSE_POSITIVE_RATE)
        warned = evaluator.evaluate_warning(detector) if detector else {}
        document = ModelDocument(
            kind="air2d",
            settings=recipe.model.model_dump(mode="json"),
            recipe=recipe.model_dump(mode="json"),
            metrics={**metrics, **warned},
            familiarity=detector,
        )
        save_model(folder, network, document, model_card(recipe, document))

    return Task(trainable, batch, evaluator.evaluate, export)


def to_network(images: NDArray[np.float32]) -> Tensor:
    """Convert images (B, H, W) to the network's input (B, 1, H, W)."""
    return torch.from_numpy(images)[:, None]


def read_all(network: Air2D, images: NDArray[np.float32]) -> ParsedImages:
    """Infer the objects of many images.  images: (M, H, W)."""
    readings = [
        read_images(network, block).parsed_images() for block in torch.split(to_network(images), BATCH)
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
        sampler = Reparameterised(torch.Generator().manual_seed(self.recipe.evaluation.seed))
        totals: dict[str, float] = {}
        for images in torch.split(to_network(self.batch.images), BATCH):
            bound = exact_count_elbo(attend_infer_repeat(self.network, images, sampler), prior)
            for name, part in bound._asdict().items():
                totals[name] = totals.get(name, 0.0) + float(part.sum())
        return {name: total / len(self.batch.counts) for name, total in totals.items()}

    def _images(self) -> dict[str, NDArray[np.float32]]:
        """The first images above their reconstructions: (2 H, K W, 3)."""
        images = to_network(self.batch.images[:SHOWN])
        reading = read_images(self.network, images)
        chosen = reading.prefixes[torch.arange(len(images)), reading.counts]
        rows = [torch.cat(list(row), dim=-1) for row in (images[:, 0], chosen)]
        return {"reconstruction": torch.cat(rows)[..., None].expand(-1, -1, 3).numpy()}
