"""The task of learning to see digits: the 2D model on multi-MNIST."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inverse_graphics.data.mnist import load_digits
from inverse_graphics.data.multi_mnist import MultiMnist, MultiMnistBatch
from inverse_graphics.distributions.count import truncated_geometric
from inverse_graphics.distributions.gaussian import AtMeans, Reparameterised
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.air2d import Air2D
from inverse_graphics.models.air_objective import AirObjective
from inverse_graphics.models.elbo import exact_count_elbo
from inverse_graphics.models.familiarity import Familiarity
from inverse_graphics.models.weights import ModelDocument, save_model
from inverse_graphics.training.model_card import model_card
from inverse_graphics.training.recipe import Recipe
from inverse_graphics.training.task import Evaluation, Metrics, ParameterGroup, Task

BATCH = 500
"""Held-out images that go through the network at once."""
SHOWN = 8
"""Held-out images whose reconstructions are logged."""
CALIBRATION_SIZE = 10_000
CALIBRATION_SEED_OFFSET = 1
"""The warning's thresholds come from other held-out images than the metrics."""
FLAGGED = 0.003
"""Share of held-out images that the warning may flag."""


@dataclass(frozen=True)
class Air2DTrainable:
    """The 2D model and its objective."""

    module: Air2D
    objective: AirObjective

    def parameter_groups(self) -> list[ParameterGroup]:
        """All parameters, one learning rate."""
        return [ParameterGroup(list(self.module.parameters()))]

    def loss(
        self, images: Tensor, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The negative warmed-up bound of a batch, and its parts."""
        return self.objective.loss(images, step, generator)


def build_air2d_task(recipe: Recipe) -> Task:
    """Training digits to learn from, test digits to be judged on, and a freshly drawn network.

    Raises:
        DataError: the digits are missing and cannot be fetched.
    """
    learnt = MultiMnist(load_digits("train", recipe.data.digits), recipe.data)
    held_out = MultiMnist(load_digits("test", recipe.data.digits), recipe.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Air2D(recipe.model)
    judge = HeldOut(network, recipe, held_out.fixed_set(recipe.evaluation.size, recipe.evaluation.seed))

    def images(step: int) -> Tensor:
        return to_network(learnt.batch(recipe.batch_size, recipe.seed, step).images)

    def export(folder: Path, metrics: Metrics) -> None:
        seed = recipe.evaluation.seed + CALIBRATION_SEED_OFFSET
        unseen = HeldOut(network, recipe, held_out.fixed_set(CALIBRATION_SIZE, seed))
        document = ModelDocument(
            kind="air2d",
            settings=recipe.model.model_dump(mode="json"),
            recipe=recipe.model_dump(mode="json"),
            metrics=dict(metrics),
            warning=unseen.familiarity().to_document(),
        )
        save_model(folder, network, document, model_card(recipe, document))

    trainable = Air2DTrainable(network, AirObjective(network, recipe.objective))
    return Task(trainable, images, judge.evaluate, export)


def to_network(images: NDArray[np.float32]) -> Tensor:
    """(B, H, W) as the network takes them: (B, 1, H, W)."""
    return torch.from_numpy(images)[:, None]


@dataclass(frozen=True)
class HeldOut:
    """A network, and images that it never learns from."""

    network: Air2D
    recipe: Recipe
    batch: MultiMnistBatch

    def evaluate(self) -> Evaluation:
        """Count accuracy, overall and by true count, at the posterior means; the bound and its parts.

        The bound is that of the schedule's last count prior, with one posterior sample an image.
        """
        counts, _ = self._at_means()
        right = counts == self.batch.counts
        by_count = {
            f"count_{n}_accuracy": float(right[self.batch.counts == n].mean())
            for n in np.unique(self.batch.counts).tolist()
        }
        metrics = {"count_accuracy": float(right.mean()), **self._bound(), **by_count}
        return Evaluation(metrics, {"reconstruction": self._pictures()})

    def familiarity(self) -> Familiarity:
        """Thresholds of the warning, such that a few of these images would be flagged."""
        counts, log_likelihoods = self._at_means()
        return Familiarity.fit(counts, log_likelihoods, FLAGGED)

    def _blocks(self) -> Iterator[Tensor]:
        return iter(torch.split(to_network(self.batch.images), BATCH))

    def _at_means(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The count reported for each image, and its log-likelihood, nats: (M,) each."""
        counts, evidence = [], []
        for images in self._blocks():
            inference = attend_infer_repeat(self.network, images, AtMeans())
            count = inference.most_probable_count
            counts.append(count)
            evidence.append(inference.log_likelihood.gather(-1, count[:, None])[:, 0])
        return torch.cat(counts).numpy(), torch.cat(evidence).numpy()

    def _bound(self) -> dict[str, float]:
        prior = truncated_geometric(self.recipe.objective.count_log_odds, self.network.max_objects)
        sampler = Reparameterised(torch.Generator().manual_seed(self.recipe.evaluation.seed))
        totals: dict[str, float] = {}
        for images in self._blocks():
            bound = exact_count_elbo(attend_infer_repeat(self.network, images, sampler), prior)
            for name, part in bound._asdict().items():
                totals[name] = totals.get(name, 0.0) + float(part.sum())
        return {name: total / len(self.batch.counts) for name, total in totals.items()}

    def _pictures(self) -> NDArray[np.float32]:
        """The first images above their reconstructions: (2 H, K W, 3)."""
        images = to_network(self.batch.images[:SHOWN])
        inference = attend_infer_repeat(self.network, images, AtMeans())
        canvases = torch.stack(self.network.prefixes(inference.objects), dim=1)
        chosen = canvases[torch.arange(len(images)), inference.most_probable_count]
        rows = [torch.cat(list(row[:, 0]), dim=-1) for row in (images, chosen)]
        return torch.cat(rows).clamp(0, 1)[..., None].expand(-1, -1, 3).numpy()
