"""Evaluation of a finished run of the 3D model on held-out images: all figures, and a gallery."""

from __future__ import annotations

from functools import cached_property
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.io.images import save
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.scene_latents import draw_prefixes
from inverse_graphics.models.weights import LoadedModel, load_model
from inverse_graphics.rendering.engines import make_engine
from inverse_graphics.studies.gallery import ROWS, TITLES, Failure, Failures, GalleryRow, draw_gallery
from inverse_graphics.studies.records import Figures
from inverse_graphics.studies.runs import StudyRun
from inverse_graphics.studies.study import EVALUATION, load_or_compute, weights_sha256
from inverse_graphics.training.air3d_task import SceneEvaluator
from inverse_graphics.training.recipe import Air3DRecipe, Recipe
from inverse_graphics.training.run import WEIGHTS

GALLERY = "gallery.png"
FORMAT_VERSION = 1
"""Evaluations of other versions are recomputed."""
BATCH_SIZE = 50
"""Images per forward pass; the bound needs many renderings of each."""
SAMPLES = 8
"""Samples per image of the importance-weighted bound."""


def evaluate_run(run: StudyRun, samples: int = SAMPLES) -> Figures:
    """Evaluate a finished run, or read an existing evaluation of the same weights and images.

    Writes `evaluation.json` and `gallery.png` to the run's folder.

    Raises:
        ModelError: the weights are damaged.
        StorageError: a file cannot be written.
    """
    evaluation = run.recipe.evaluation
    made_of = {
        "format_version": FORMAT_VERSION,
        "weights_sha256": weights_sha256(run),
        "images": evaluation.size,
        "stream": evaluation.seed,
        "evidence_samples": samples,
    }
    if not (run.folder / GALLERY).is_file():
        (run.folder / EVALUATION).unlink(missing_ok=True)
    return load_or_compute(run.folder / EVALUATION, made_of, lambda: _evaluation(run, samples), indent=1)


def _evaluation(run: StudyRun, samples: int) -> Figures:
    begun = perf_counter()
    model = load_model(run.folder / WEIGHTS)
    inferred = _InferredScenes.from_held_out(_held_out(run.recipe, model))
    save(run.folder / GALLERY, inferred.gallery(f"{run.variant.name}, seed {run.seed}"))
    figures = inferred.figures(samples)
    return {"trained_with": model.document.versions, **figures, "seconds": perf_counter() - begun}


def _held_out(recipe: Recipe, model: LoadedModel) -> SceneEvaluator:
    network = model.module
    assert isinstance(recipe, Air3DRecipe)
    assert isinstance(network, Air3D)
    network.engine = make_engine(recipe.engine, network.space.family.library)
    return SceneEvaluator.sample(network, recipe.evaluation.size, recipe.evaluation.seed)


class _InferredScenes:
    """Scenes inferred from held-out images.

    Args:
        held_out: M images and their true scenes.
        scenes: the inferred scenes.
        drawn: (M, 3, H, W), the reconstructions.
        log_likelihood: (M,), nats.
    """

    def __init__(
        self, held_out: SceneEvaluator, scenes: SceneLatents, drawn: Tensor, log_likelihood: Tensor
    ) -> None:
        self.held_out, self.network, self.scenes = held_out, held_out.network, scenes
        self.drawn, self.log_likelihood = drawn, log_likelihood
        self.metrics = held_out.scene_metrics(scenes)
        family = self.network.space.family
        self.failures = Failures.from_scenes(
            self._placed(scenes),
            self._placed(held_out.scenes),
            family.symmetries,
            family.kinds,
            self.metrics.match_distance_m,
        )

    @classmethod
    def from_held_out(cls, held_out: SceneEvaluator) -> _InferredScenes:
        """Infer the scenes of all images."""
        scenes, drawn, log_likelihood = [], [], []
        for block in held_out.observation.split(BATCH_SIZE):
            reading = read_scenes(held_out.network, block)
            scenes.append(reading.scenes)
            drawn.append(reading.prefixes[torch.arange(len(block)), reading.scenes.counts])
            log_likelihood.append(reading.log_likelihood)
        together = SceneLatents.cat(scenes)
        return cls(held_out, together, torch.cat(drawn), torch.cat(log_likelihood))

    def figures(self, samples: int) -> dict[str, Any]:
        """Compute all figures; log-likelihoods and the bound are means over images."""
        counts = self.failures.counts()
        return {
            "images": len(self.drawn),
            "sigma": self.network.settings.sigma,
            **self.metrics.to_json(),
            "log_likelihood": _mean(self.log_likelihood, "of the inferred scene"),
            "log_likelihood_of_truth": _mean(self.log_likelihood_of_truth, "of the true scene"),
            "log_evidence_bound": _mean(
                self._log_evidence(samples), f"importance-weighted bound, {samples} samples per image"
            ),
            "failures": {TITLES[kind]: number for kind, number in counts.items()},
        }

    def gallery(self, name: str) -> Any:
        """Draw the gallery of the worst images."""
        counts, total = self.failures.counts(), len(self.drawn)
        order = self.failures.worst_first(self.log_likelihood)
        rows = [self._row(index) for index in order[:ROWS]]
        listed = ", ".join(f"{counts[kind]:,} {TITLES[kind]}" for kind in Failure)
        return draw_gallery(
            rows,
            f"{name}: the worst of {total:,} held-out images",
            f"{listed}.  Image with noise, reconstruction, difference (grey: none).",
        )

    def _row(self, index: int) -> GalleryRow:
        kind = Failure(int(self.failures.kind[index]))
        image, drawn = (
            part[index].clamp(0, 1).permute(1, 2, 0).numpy()
            for part in (self.held_out.observation.rgb, self.drawn)
        )
        short = float(self.log_likelihood_of_truth[index] - self.log_likelihood[index])
        truth = f"true: {self.failures.true_objects(index)}"
        notes = (truth, f"{short:,.0f} nats below the truth", *self.failures.notes(index))
        return GalleryRow(image, drawn, self.failures.title(index), notes, kind != Failure.NONE)

    @cached_property
    @torch.no_grad()
    def log_likelihood_of_truth(self) -> Tensor:
        """Log-likelihood of the images given the true scenes: (M,), nats."""
        network, parts = self.network, []
        blocks = zip(
            self.held_out.observation.split(BATCH_SIZE), self.held_out.scenes.split(BATCH_SIZE), strict=True
        )
        for observation, scenes in blocks:
            render = draw_prefixes(scenes, network.space, network.engine).renders[:, -1]
            parts.append(network.observation_model.log_prob(observation, render))
        return torch.cat(parts)

    def _log_evidence(self, samples: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        blocks = self.held_out.observation.split(BATCH_SIZE)
        return torch.cat(
            [propose(self.network, block, samples, generator).log_evidence() for block in blocks]
        )

    def _placed(self, scenes: SceneLatents) -> PredictedScenes:
        placed = self.network.space.scene(scenes)
        return PredictedScenes.from_batch(placed)


def _mean(values: Tensor, label: str) -> dict[str, Any]:
    """Mean and median with a label; None where not finite."""
    mean, median = float(values.double().mean()), float(values.double().median())
    finite = bool(torch.isfinite(values).all())
    return {
        "value": mean if finite else None,
        "median": median if finite else None,
        "unit": "nats",
        "denominator": len(values),
        "of": label,
    }
