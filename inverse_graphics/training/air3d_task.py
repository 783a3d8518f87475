"""The training task of the 3D model, on images of a scene family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inverse_graphics.devices import resolve_device
from inverse_graphics.distributions.draws import draw_uniform
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.metrics.scene_metrics import SceneMetrics, evaluate_scenes
from inverse_graphics.models.air3d.inference import SceneReading, read_scenes, summarised
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.objectives import build_objective
from inverse_graphics.models.air3d.scene_latents import draw_from_prior, observe
from inverse_graphics.models.outlier_detector import MIN_COUNT, OutlierDetector, ParsedImages
from inverse_graphics.observation.observation import Observation
from inverse_graphics.rendering.engines import make_differentiable_engine
from inverse_graphics.training.model_card import scene_model_card, write_model
from inverse_graphics.training.recipe import Air3DRecipe
from inverse_graphics.training.task import TASKS, Evaluation, Metrics, NetworkTrainable, Report, Task

BATCH = 250
"""Test images per forward pass."""
SHOWN = 8
"""Test images whose reconstructions are logged."""
FIT_SIZE = 800
"""Number of images for the outlier detector's mixture."""
CALIBRATION_SIZE = 2_000
"""Number of images for the outlier detector's thresholds; up to 5 times as many if counts are rare."""
WARNING_SIZE = 800
"""Number of test images on which the share of warnings is measured."""
FALSE_POSITIVE_RATE = 0.005
"""Share of in-distribution images that may get a warning."""
TRAINING, TEST, DETECTOR_FIT, CALIBRATION = range(4)
"""Disjoint streams of scenes: for training, evaluation, the outlier detector's mixture and its thresholds."""


@TASKS.register("air3d")
def build_air3d_task(recipe: Air3DRecipe) -> Task:
    """Build the task: sampled training scenes, test scenes, and an initialised network.

    Raises:
        DeviceError: this machine has no such device.
        AssetError, EngineError, SceneError: a requirement of the scenes is missing here, or does not fit.
    """
    device = resolve_device(recipe.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Air3D(recipe.model).to(device)
    network.engine = make_differentiable_engine(
        recipe.engine, network.space.family.library.to(device), recipe.engine_samples, recipe.engine_workers
    )
    objective = build_objective(network, recipe.objective)
    module: nn.Module = network
    if objective.replay is not None:
        module = nn.ModuleDict({"network": network, "replay": objective.replay})
    trainable = NetworkTrainable(module, objective.loss)
    evaluator = SceneEvaluator.sample(network, recipe.evaluation.size, recipe.evaluation.seed)

    def batch(step: int) -> Any:
        return objective.batch(recipe.batch_size, stream(TRAINING, recipe.seed, step))

    def export(folder: Path, metrics: Metrics, report: Report) -> None:
        calibration, test = calibration_size(network), min(WARNING_SIZE, recipe.evaluation.size)
        report(
            f"fitting the outlier detector to {FIT_SIZE:,} images, its thresholds to {calibration:,}, and "
            f"measuring it on {test:,}"
        )
        detector = fit_outlier_detector(network, recipe.evaluation.seed)
        warned = evaluator.evaluate_warning(detector) if detector else {}
        report("writing the model")
        write_model(folder, network, recipe, {**metrics, **warned}, scene_model_card, detector)

    return Task(trainable, batch, evaluator.evaluate, export)


def stream(*numbers: int) -> torch.Generator:
    """Build an independent generator for each tuple of numbers."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) % 2**63)


def calibration_size(network: Air3D) -> int:
    """Choose the number of calibration images, so that all counts that occur get a threshold."""
    rarest = min(share for share in network.space.family.count_probabilities if share > 0)
    return int(min(max(CALIBRATION_SIZE, 1.5 * MIN_COUNT / rarest), 5 * CALIBRATION_SIZE))


def fit_outlier_detector(network: Air3D, seed: int) -> OutlierDetector | None:
    """Fit the outlier detector to scenes that are sampled for it alone.

    The mixture is fitted to images with all strengths of noise, so that noise-free images are not outliers;
    thresholds are set at the full strength, at which likelihoods are smallest.
    """
    fitted = summarise_samples(network, FIT_SIZE, stream(DETECTOR_FIT, seed), least_noise=0.0)
    calibration = summarise_samples(network, calibration_size(network), stream(CALIBRATION, seed))
    return OutlierDetector.fit(fitted, calibration, FALSE_POSITIVE_RATE, network.space.smallest_count)


def summarise_samples(
    network: Air3D, count: int, generator: torch.Generator, least_noise: float = 1.0
) -> ParsedImages:
    """Summarise the inference for sampled images, with values clamped as in a file; images are not stored.

    Args:
        network: the model.
        count: number of images.
        generator: source of randomness.
        least_noise: the strength of the noise, as a share of sigma, is uniform between this and 1 for each
            image.
    """
    blocks = []
    for first in range(0, count, BATCH):
        scenes, render = draw_from_prior(network.space, network.engine, min(BATCH, count - first), generator)
        strength = least_noise + (1 - least_noise) * draw_uniform(
            (len(render), 1, 1, 1), generator, render.rgb
        )
        observation = observe(scenes, render, network.observation_model, generator)
        faded = render.rgb + strength * observation.residual(render)
        observation = observation.replace(rgb=faded).clipped()
        blocks.append(summarised(network, observation, read_scenes(network, observation)))
    return concatenated(blocks)


def concatenated(blocks: Iterable[ParsedImages]) -> ParsedImages:
    """Concatenate the statistics of several batches."""
    return ParsedImages(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


@dataclass(frozen=True)
class SceneEvaluator:
    """Evaluates a network on images, with noise, of test scenes.

    Attributes:
        network: the model.
        observation: M images.
        scenes: the true scenes of the images.
    """

    network: Air3D
    observation: Observation
    scenes: SceneLatents

    @classmethod
    def sample(cls, network: Air3D, count: int, seed: int) -> SceneEvaluator:
        """Sample `count` test scenes and render their images."""
        generator = stream(TEST, seed)
        scenes, render = draw_from_prior(network.space, network.engine, count, generator)
        return cls(network, observe(scenes, render, network.observation_model, generator), scenes)

    def evaluate(self) -> Evaluation:
        """Compute the errors of the inferred scenes, and the log-likelihood of the images."""
        readings = [read_scenes(self.network, block) for block in self.observation.split(BATCH)]
        inferred = SceneLatents.cat([reading.scenes for reading in readings])
        log_likelihood = torch.cat([reading.log_likelihood for reading in readings])
        metrics = {
            **self.scene_metrics(inferred).flat(),
            "log_likelihood": float(log_likelihood.mean()),
        }
        return Evaluation(metrics, {"reconstruction": self._comparison(readings[0])})

    def evaluate_warning(self, detector: OutlierDetector) -> dict[str, float]:
        """Compute the share of the first `WARNING_SIZE` test images that get a warning."""
        blocks = [block.clipped() for block in self.observation[:WARNING_SIZE].split(BATCH)]
        parsed = concatenated(summarised(self.network, b, read_scenes(self.network, b)) for b in blocks)
        warnings = detector.warnings(parsed)
        return {"warned_share": sum(warning is not None for warning in warnings) / len(warnings)}

    def scene_metrics(self, inferred: SceneLatents) -> SceneMetrics:
        """Compare inferred with true scenes."""
        family = self.network.space.family
        return evaluate_scenes(
            self._comparable(inferred),
            self._comparable(self.scenes),
            family.symmetries,
            family.kinds,
            visible_width_m=family.visible_width_m,
        )

    def _comparable(self, scenes: SceneLatents) -> PredictedScenes:
        placed = self.network.space.scene(scenes)
        return PredictedScenes.from_batch(placed.to("cpu"))

    def _comparison(self, reading: SceneReading) -> NDArray[np.float32]:
        """The first images above their reconstructions: (2 H, K W, 3)."""
        images = self.observation.rgb[:SHOWN]
        count = len(images)
        reconstructions = reading.prefixes[
            torch.arange(count, device=images.device), reading.scenes.counts[:count]
        ]
        rows = [torch.cat(list(row), dim=-1) for row in (images, reconstructions)]
        return torch.cat(rows, dim=-2).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
