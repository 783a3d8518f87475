"""The task of learning to see scenes: the 3D model on images of a scene family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.metrics.scene_metrics import SceneMetrics, evaluate_scenes
from inverse_graphics.models.air3d.inference import SceneReading, read_scenes, summarised
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.objectives import build_objective
from inverse_graphics.models.air3d.scene_latents import draw_from_prior
from inverse_graphics.models.outlier_detector import OutlierDetector, ParsedImages
from inverse_graphics.models.weights import ModelDocument, save_model
from inverse_graphics.observation.observation import Observation
from inverse_graphics.render.engines import make_differentiable_engine
from inverse_graphics.training.model_card import scene_model_card
from inverse_graphics.training.recipe import Air3DRecipe
from inverse_graphics.training.task import TASKS, Evaluation, Metrics, NetworkTrainable, ParameterGroup, Task

BATCH = 250
"""Held-out images that go through the network at once."""
SHOWN = 8
"""Held-out images whose reconstructions are logged."""
CALIBRATION_SIZE = 10_000
"""Images to which the warning's mixture is fitted, and images that set its thresholds."""
FALSE_POSITIVE_RATE = 0.005
"""Share of familiar images that the warning may flag."""
TRAINING, HELD_OUT, KNOWN, CALIBRATION = range(4)
"""Streams of scenes: what is judged is never learnt from, and nor is what the warning rests on."""


@TASKS.register("air3d")
def build_air3d_task(recipe: Air3DRecipe) -> Task:
    """Scenes drawn on the fly to learn from, others to be judged on, and a freshly drawn network.

    Raises:
        AssetError, EngineError, SceneError: what the scenes need is missing here, or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = Air3D(recipe.model)
    network.engine = make_differentiable_engine(
        recipe.engine, network.space.family.library, recipe.engine_samples, recipe.engine_workers
    )
    objective = build_objective(network, recipe.objective)
    module: nn.Module = network
    if objective.replay is not None:
        module = nn.ModuleDict({"network": network, "replay": objective.replay})
    trainable = NetworkTrainable(module, [ParameterGroup(list(network.parameters()))], objective.loss)
    judge = HeldOutScenes.draw(network, recipe.evaluation.size, recipe.evaluation.seed)

    def batch(step: int) -> Any:
        return objective.batch(recipe.batch_size, stream(TRAINING, recipe.seed, step))

    def export(folder: Path, metrics: Metrics) -> None:
        familiarity = fit_outlier_detector(network, recipe.evaluation.seed)
        judged = judge.evaluate_warning(familiarity) if familiarity else {}
        document = ModelDocument(
            kind="air3d",
            settings=recipe.model.model_dump(mode="json"),
            recipe=recipe.model_dump(mode="json"),
            asset_pack_sha256=network.space.family.packs_hash,
            metrics={**metrics, **judged},
            familiarity=familiarity,
        )
        save_model(folder, network, document, scene_model_card(recipe, document))

    return Task(trainable, batch, judge.evaluate, export)


def stream(*numbers: int) -> torch.Generator:
    """A generator of its own for each tuple of numbers."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) % 2**63)


def fit_outlier_detector(network: Air3D, seed: int) -> OutlierDetector | None:
    """Fit the warning to images drawn for it alone.

    What objects look like is learnt at all strengths of noise, so that clean images are not strange either;
    thresholds are set at the full one, at which likelihoods are least.
    """
    known = summarise_fresh(network, CALIBRATION_SIZE, stream(KNOWN, seed), least_noise=0.0)
    calibration = summarise_fresh(network, CALIBRATION_SIZE, stream(CALIBRATION, seed))
    return OutlierDetector.fit(known, calibration, FALSE_POSITIVE_RATE, network.space.smallest_count)


def summarise_fresh(
    network: Air3D, count: int, generator: torch.Generator, least_noise: float = 1.0
) -> ParsedImages:
    """What the network says of freshly drawn images, as a file would hold them; none is kept.

    least_noise: noise has a strength uniform between this and 1 for each image, as a share of sigma.
    """
    blocks = []
    for first in range(0, count, BATCH):
        scenes, render = draw_from_prior(network.space, network.engine, min(BATCH, count - first), generator)
        strength = least_noise + (1 - least_noise) * torch.rand(len(render), 1, 1, 1, generator=generator)
        noise = network.observation_model.sample(render, generator).residual(render)
        observation = Observation(render.rgb + strength * noise, K=scenes.K).clipped()
        blocks.append(summarised(network, observation, read_scenes(network, observation)))
    return concatenated(blocks)


def concatenated(blocks: Iterable[ParsedImages]) -> ParsedImages:
    """The same images as one."""
    return ParsedImages(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


@dataclass(frozen=True)
class HeldOutScenes:
    """A network, and images with noise of scenes that it never learns from.

    observation: M images.  scenes: what is on them.
    """

    network: Air3D
    observation: Observation
    scenes: SceneLatents

    @classmethod
    def draw(cls, network: Air3D, count: int, seed: int) -> HeldOutScenes:
        """Draw `count` of them."""
        generator = stream(HELD_OUT, seed)
        scenes, render = draw_from_prior(network.space, network.engine, count, generator)
        observation = network.observation_model.sample(render, generator).replace(K=scenes.K)
        return cls(network, observation, scenes)

    def evaluate(self) -> Evaluation:
        """How the readings differ from the truth, and how likely they make the images."""
        readings = [read_scenes(self.network, block) for block in self.observation.split(BATCH)]
        inferred = SceneLatents.cat([reading.scenes for reading in readings])
        log_likelihood = torch.cat([reading.log_likelihood for reading in readings])
        metrics = {
            **self.compare(inferred).flat(),
            "log_likelihood": float(log_likelihood.mean()),
        }
        return Evaluation(metrics, {"reconstruction": self._pictures(readings[0])})

    def evaluate_warning(self, familiarity: OutlierDetector) -> dict[str, float]:
        """The share of these familiar images that get a warning."""
        blocks = [block.clipped() for block in self.observation.split(BATCH)]
        parsed = concatenated(summarised(self.network, b, read_scenes(self.network, b)) for b in blocks)
        warnings = familiarity.warnings(parsed)
        return {"warned_share": sum(warning is not None for warning in warnings) / len(warnings)}

    def compare(self, inferred: SceneLatents) -> SceneMetrics:
        """All figures."""
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
        return PredictedScenes.from_batch(placed)

    def _pictures(self, reading: SceneReading) -> NDArray[np.float32]:
        """The first images above their reconstructions: (2 H, K W, 3)."""
        images = self.observation.rgb[:SHOWN]
        count = len(images)
        drawn = reading.prefixes[torch.arange(count), reading.scenes.counts[:count]]
        rows = [torch.cat(list(row), dim=-1) for row in (images, drawn)]
        return torch.cat(rows, dim=-2).clamp(0, 1).permute(1, 2, 0).numpy()
