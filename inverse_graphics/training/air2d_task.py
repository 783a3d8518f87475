"""The task of learning to see objects in the plane: the 2D model on multi-MNIST and its like."""

from __future__ import annotations

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
from inverse_graphics.training.task import TASKS, Evaluation, Metrics, NetworkTrainable, ParameterGroup, Task

BATCH = 500
"""Held-out images that go through the network at once."""
SHOWN = 8
"""Held-out images whose reconstructions are logged."""
CALIBRATION_SIZE = 20_000
"""Images to which the warning's mixture is fitted, and images that set its thresholds."""
FALSE_POSITIVE_RATE = 0.004
"""Share of familiar images that the warning may flag."""


@TASKS.register("air2d")
def build_air2d_task(recipe: Air2DRecipe) -> Task:
    """Images to learn from, others to be judged on, and a freshly drawn network.

    Raises:
        DataError: the data is missing and cannot be fetched.
    """
    train, kept, held_out = open_streams(recipe.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Air2D(recipe.model)
        trainable = _trainable(network, recipe.objective)
    judge = HeldOut(network, recipe, held_out.fixed_set(recipe.evaluation.size, recipe.evaluation.seed))

    def batch(step: int) -> Tensor:
        return to_network(train.batch(recipe.batch_size, recipe.seed, step).images)

    def export(folder: Path, metrics: Metrics) -> None:
        known, calibration = (
            read_all(network, stream.fixed_set(CALIBRATION_SIZE, recipe.evaluation.seed).images)
            for stream in (train, kept)
        )
        familiarity = OutlierDetector.fit(known, calibration, FALSE_POSITIVE_RATE)
        judged = judge.evaluate_warning(familiarity) if familiarity else {}
        document = ModelDocument(
            kind="air2d",
            settings=recipe.model.model_dump(mode="json"),
            recipe=recipe.model_dump(mode="json"),
            metrics={**metrics, **judged},
            familiarity=familiarity,
        )
        save_model(folder, network, document, model_card(recipe, document))

    return Task(trainable, batch, judge.evaluate, export)


def _trainable(network: Air2D, settings: EstimatorSettings) -> NetworkTrainable:
    """The model, beside it where there is one the baseline, which has a learning rate of its own."""
    estimator = settings.estimator(network)
    module: nn.Module = network
    groups = [ParameterGroup(list(network.parameters()))]
    if estimator.helpers is not None:
        module = nn.ModuleDict({"network": network, "helpers": estimator.helpers})
        groups.append(ParameterGroup(list(estimator.helpers.parameters()), settings.helpers_rate))
    return NetworkTrainable(module, groups, AirObjective(estimator, settings, network.max_objects).loss)


def to_network(images: NDArray[np.float32]) -> Tensor:
    """(B, H, W) as the network takes them: (B, 1, H, W)."""
    return torch.from_numpy(images)[:, None]


def read_all(network: Air2D, images: NDArray[np.float32]) -> ParsedImages:
    """What the network says of many images.  images: (M, H, W)."""
    readings = [
        read_images(network, block).parsed_images() for block in torch.split(to_network(images), BATCH)
    ]
    return ParsedImages(*(np.concatenate(parts) for parts in zip(*readings, strict=True)))


@dataclass(frozen=True)
class HeldOut:
    """A network, and images that it never learns from."""

    network: Air2D
    recipe: Air2DRecipe
    batch: MultiObjectBatch

    def evaluate(self) -> Evaluation:
        """Count accuracy, overall and by true count, at the posterior means; the bound and its parts.

        Where nobody knows the true counts, the mean of those inferred takes the place of the accuracy.

        The bound is that of the schedule's last count prior, with one posterior sample an image.
        """
        counts = read_all(self.network, self.batch.images).counts
        if not self.recipe.data.counted:
            return Evaluation({**self._bound(), "mean_count": float(counts.mean())}, self._pictures())
        right = counts == self.batch.counts
        by_count = {
            f"count_{n}_accuracy": float(right[self.batch.counts == n].mean())
            for n in np.unique(self.batch.counts).tolist()
        }
        metrics = {"count_accuracy": float(right.mean()), **self._bound(), **by_count}
        return Evaluation(metrics, self._pictures())

    def evaluate_warning(self, familiarity: OutlierDetector) -> dict[str, float]:
        """The share of these familiar images that get a warning."""
        warnings = familiarity.warnings(read_all(self.network, self.batch.images))
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

    def _pictures(self) -> dict[str, NDArray[np.float32]]:
        """The first images above their reconstructions: (2 H, K W, 3)."""
        images = to_network(self.batch.images[:SHOWN])
        reading = read_images(self.network, images)
        chosen = reading.prefixes[torch.arange(len(images)), reading.counts]
        rows = [torch.cat(list(row), dim=-1) for row in (images[:, 0], chosen)]
        return {"reconstruction": torch.cat(rows)[..., None].expand(-1, -1, 3).numpy()}
