"""Comparison of search with amortised inference: success, likelihood and time; and its plot.

Search is the baseline of Eslami et al. 2016, figure 6d.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from inverse_graphics.benchmarks.render_sweeps import check_plot_name
from inverse_graphics.errors import ModelError
from inverse_graphics.evaluation.scene_images import InDistributionScenes, generator_of, scene_success
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.io.files import atomic_write
from inverse_graphics.metrics.predicted_scenes import PredictedScenes
from inverse_graphics.models.air3d.inference import read_scenes
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.scene_latents import draw_scenes
from inverse_graphics.models.weights import LoadedModel
from inverse_graphics.observation.observation import Observation
from inverse_graphics.optimisation.ascent import log_prior
from inverse_graphics.optimisation.search import SceneSearch
from inverse_graphics.optimisation.settings import FROM_ANSWER, FROM_PRIOR, OptimiseSettings
from inverse_graphics.optimisation.trace import Explanations
from inverse_graphics.rendering.engines import make_differentiable_engine
from inverse_graphics.scene.batch import SceneBatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes


SEARCH_BATCH = 256
"""Scenes per search pass."""
TIMED, TIMED_NETWORK = 5, 50
"""Number of images that are timed one by one: for searches, and for the network."""
LIKELIHOOD_TOLERANCE_NATS = 10.0
"""A scene is as likely as the true one if its log p(x, scene) is lower by at most this."""


@dataclass(frozen=True)
class OptimiseRow:
    """Figures of one method over all images.

    Attributes:
        method: name of the method.
        restarts: restarts per image.
        steps: gradient steps per restart.
        images: number of images.
        success: share of images with correct count, kinds, positions and orientations (`SceneSuccess`).
        placed: share of images with correct count, kinds and positions.
        counted: share of images with the correct count.
        as_likely: share of images whose inferred scene has a log p(x, scene) at most 10 nats below the true
            scene's.
        log_likelihood: median log p(x | scene), nats.
        above_truth: median difference of log p(x | scene) from the true scene's, nats.
        seconds_alone: median processor time for a single image; 0 for the truth.
        times_network: `seconds_alone` as a multiple of the network's.
    """

    method: str
    restarts: int
    steps: int
    images: int
    success: float
    placed: float
    counted: float
    as_likely: float
    log_likelihood: float
    above_truth: float
    seconds_alone: float
    times_network: float


class _HeldOut(NamedTuple):
    """Held-out images with the truth.

    Attributes:
        observation: B images.
        scenes: the true scenes.
        truth: latents and likelihoods of the true scenes.
    """

    observation: Observation
    scenes: SceneBatch
    truth: Explanations


InferScenes = Callable[[Observation, torch.Generator], Explanations]
"""Infers the scenes of B images."""


class OptimiseBenchmark:
    """A comparison of methods of inference on held-out images of a 3D model."""

    def __init__(self, loaded: LoadedModel, images: int, engine: str = "embedded", seed: int = 0) -> None:
        """Sample the held-out images and time the network.

        Args:
            loaded: a 3D model.
            images: number of images.
            engine: the render engine of the searches.
            seed: seed of images and searches.

        Raises:
            ModelError: not a 3D model.
            EngineError: the engine is unknown or not available here.
        """
        if not isinstance(loaded.module, Air3D):
            raise ModelError(f"model '{loaded.name}' does not infer scenes: choose a 3D model")
        self.network, self.seed = loaded.module, seed
        space = self.network.space
        drawing = make_differentiable_engine(engine, space.family.library)
        self.search = SceneSearch(space, drawing, self.network.observation_model)
        self.held_out = self._draw(InDistributionScenes.from_document(loaded.document), images)
        self._network_seconds = self._alone(self._read, TIMED_NETWORK)

    def rows(
        self,
        restarts: Sequence[int],
        gradients_alone: bool,
        steps: int = FROM_PRIOR.steps,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Iterator[OptimiseRow]:
        """Measure the true scenes, the network, the network followed by search, and search from the prior.

        Args:
            restarts: numbers of restarts, at least 1 each.
            gradients_alone: also search without discrete proposals and with one candidate per restart.
            steps: gradient steps of each search from the prior.
            progress: called with the name of each method.
        """
        yield self._row("truth", 1, 0, self.held_out.truth, 0.0)
        progress("network")
        network = self._answers(self._read, len(self.held_out.observation))
        yield self._row("network", 1, 0, network, self._network_seconds)
        progress("network, then search")
        refined = self._answers(self._refine, SEARCH_BATCH)
        seconds = self._alone(self._refine, TIMED)
        yield self._row("network, then search", 1, FROM_ANSWER.steps, refined, seconds)
        chosen = FROM_PRIOR.model_copy(update={"steps": steps})
        if gradients_alone:
            alone = {"exchanges": 0, "orientations": 0, "candidates": 1}
            yield from self._searches("gradients", chosen.model_copy(update=alone), restarts, progress)
        yield from self._searches("search", chosen, restarts, progress)

    def _searches(
        self,
        method: str,
        settings: OptimiseSettings,
        restarts: Sequence[int],
        progress: Callable[[str], None],
    ) -> Iterator[OptimiseRow]:
        """Search once with the largest number of restarts; smaller numbers use the first of them."""
        most = settings.model_copy(update={"restarts": max(restarts)})
        progress(f"{method}, {most.restarts} restarts")
        found = []
        generator = generator_of(self.seed + 2)
        for block in self.held_out.observation.split(max(1, SEARCH_BATCH // most.restarts)):
            found.append(self.search.from_prior(block, generator, most))
        for number in restarts:
            few = settings.model_copy(update={"restarts": number})
            answer = Explanations.cat([one.of_first(number) for one in found])
            seconds = self._alone(partial(self._from_prior, few), TIMED)
            yield self._row(method, number, settings.steps, answer, seconds)

    def _draw(self, known: InDistributionScenes, count: int) -> _HeldOut:
        drawn = known.sample(count, self.seed)
        observation = known.observe(drawn, self.seed)
        sample = known.family.sample(count, generator_of(self.seed))  # the same scenes, as latents
        truth = self._explained(observation, sample.latents)
        return _HeldOut(observation, drawn, truth)

    def _explained(self, observation: Observation, scenes: SceneLatents) -> Explanations:
        with torch.inference_mode():
            render = draw_scenes(scenes, self.search.space, self.search.engine)
            likelihood = self.search.observation_model.log_prob(observation, render)
            return Explanations(scenes, likelihood + log_prior(scenes, self.search.space), likelihood)

    def _read(self, observation: Observation, generator: torch.Generator) -> Explanations:
        del generator
        with torch.inference_mode():
            reading = read_scenes(self.network, observation)
        return Explanations(reading.scenes, torch.zeros(len(observation)), reading.log_likelihood)

    def _refine(self, observation: Observation, generator: torch.Generator) -> Explanations:
        scenes = read_scenes(self.network, observation).scenes
        return self.search.from_scenes(observation, scenes, generator).best

    def _from_prior(
        self, settings: OptimiseSettings, observation: Observation, generator: torch.Generator
    ) -> Explanations:
        return self.search.from_prior(observation, generator, settings).best

    def _answers(self, infer: InferScenes, batch_size: int) -> Explanations:
        generator = generator_of(self.seed + 2)
        return Explanations.cat(
            [infer(block, generator) for block in self.held_out.observation.split(batch_size)]
        )

    def _alone(self, infer: InferScenes, number: int) -> float:
        """Median processor seconds for a single image, after a warm-up."""
        times = []
        for index in range(number + 1):
            first = index % len(self.held_out.observation)
            observation = self.held_out.observation[first : first + 1]
            start = time.process_time()
            infer(observation, generator_of(index))
            times.append(time.process_time() - start)
        return float(np.median(times[1:]))

    def _row(
        self, method: str, restarts: int, steps: int, found: Explanations, seconds: float
    ) -> OptimiseRow:
        observation, drawn, truth = self.held_out
        space = self.search.space
        found = self._explained(observation, found.scenes)
        scenes = found.scenes
        batch = space.scene(scenes)
        true = PredictedScenes.from_batch(drawn)
        success = scene_success(PredictedScenes.from_batch(batch), true, space.family.symmetries)
        return OptimiseRow(
            method, restarts, steps, len(observation),
            success=_share(success.succeeded),
            placed=_share(success.placed),
            counted=_share(success.counted),
            as_likely=_share(found.log_joint >= truth.log_joint - LIKELIHOOD_TOLERANCE_NATS),
            log_likelihood=float(found.log_likelihood.median()),
            above_truth=float((found.log_likelihood - truth.log_likelihood).median()),
            seconds_alone=seconds,
            times_network=seconds / self._network_seconds,
        )  # fmt: skip


def _share(right: Tensor) -> float:
    return float(right.float().mean())


LABELS = {
    "network": "network",
    "network, then search": "network, then search",
    "gradients": "gradients only, by restarts",
    "search": "gradients and exchanges, by restarts",
}
COLOURS = {
    "network": "#1b6ca8",
    "network, then search": "#6b4c9a",
    "gradients": "#8a6d3b",
    "search": "#c8553d",
}


def plot_optimisation(rows: Sequence[OptimiseRow], file: Path) -> None:
    """Plot success and log-likelihood against seconds per image, as PNG, SVG or PDF.

    Raises:
        StorageError: the suffix is unknown, or the file cannot be written.
    """
    kind = check_plot_name(file)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "optimise", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8.6, 3.6), layout="constrained")
        success, likelihood = figure.subplots(1, 2)
        _draw(success, rows, lambda row: 100 * row.success)
        success.set_ylabel("correctly inferred scenes, %")
        success.set_ylim(-4, 106)
        _draw(likelihood, rows, lambda row: row.above_truth)
        likelihood.set_yscale("symlog", linthresh=10)
        likelihood.set_ylim(2 * min(-10.0, *(row.above_truth for row in rows)), 30)
        likelihood.axhline(0, color="#999999", linewidth=0.8)
        likelihood.set_ylabel("log p(x | scene), difference from truth, nats")
        handles, labels = success.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        metadata = {"Date": None} if kind == "svg" else None
        with atomic_write(file) as opened:
            figure.savefig(opened, format=kind, dpi=110, metadata=metadata)


def _draw(panel: Axes, rows: Sequence[OptimiseRow], height: Callable[[OptimiseRow], float]) -> None:
    """Draw one line per method, with points labelled by the number of restarts."""
    for method, group in groupby((row for row in rows if row.method in LABELS), key=lambda row: row.method):
        own = list(group)
        x, y = [row.seconds_alone for row in own], [height(row) for row in own]
        panel.semilogx(x, y, marker="o", markersize=5, color=COLOURS[method], label=LABELS[method])
        if method in ("gradients", "search"):
            for row, place in zip(own, zip(x, y, strict=True), strict=True):
                panel.annotate(
                    f"{row.restarts}",
                    place,
                    xytext=(0, 6),
                    textcoords="offset points",
                    fontsize=7,
                    ha="center",
                )
    _decades(panel, [row.seconds_alone for row in rows if row.method in LABELS])
    panel.set_xlabel("processor seconds per image")
    panel.grid(True, which="major", color="#e3e3e3", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _decades(panel: Axes, seconds: Sequence[float]) -> None:
    """Set the x axis to whole decades, labelled with plain numbers."""
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    panel.set_xlim(10**low, 10**high)
    panel.set_xticks(
        [10.0**power for power in range(low, high + 1)], [f"{10.0**p:g}" for p in range(low, high + 1)]
    )
    panel.minorticks_off()
