"""The study of adaptive residual networks: accuracy and cost by kind of block, gradient variance by latents.

Files, besides those of every study; the only variant is the unchanged recipe, as_it_is:

    gradients.csv           variances of the halting gradient, by seed, stage, latents and estimator
    gradients.png, .svg     plot of the same
    computation.png, .svg   held-out images and computation maps of the first seed's network
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import ClassVar

import torch
from torch import Tensor

from inverse_graphics.data.sources import open_streams
from inverse_graphics.errors import TrainingError
from inverse_graphics.models.residual.block import block_kind
from inverse_graphics.models.residual.evaluation import ImageScores, evaluate_images
from inverse_graphics.models.residual.network import ResidualNetwork
from inverse_graphics.models.residual.objectives import Labelled
from inverse_graphics.studies.latents import (
    FITTED,
    RELAXED,
    SCORE,
    LatentSpread,
    latent_csv,
    latent_spreads,
    latent_table,
    mean_variance,
    plot_latents,
    variance_ratio,
    variances,
)
from inverse_graphics.studies.plotting import new_figure, without_axes
from inverse_graphics.studies.records import Figures, Record, markdown_table, write_text
from inverse_graphics.studies.runs import StudyRun
from inverse_graphics.studies.study import RecipeType, Study, evaluated_once, load_network
from inverse_graphics.studies.variants import Variant
from inverse_graphics.training.recipe import BLOCK_OBJECTIVES, ResidualRecipe
from inverse_graphics.training.residual_task import labelled

UNCHANGED = Variant("as_it_is", ())
"""The recipe without changes."""
VERSION = 1
"""Evaluations of other versions are recomputed."""
MEASURED = 16
"""Number of images whose gradient is measured."""
SETTLED = 20
"""Number of batches for the batch-norm statistics of an untrained network."""
SHOWN = 12


@dataclass(frozen=True)
class LatentRow:
    """Gradient variances for a number of latents at a stage of training, geometric means over seeds.

    `ratio` is the variance of the score function over that of relaxed samples; None unless both are positive.
    """

    stage: str
    latents: int
    score_function: float
    relaxed: float
    ratio: float | None


@dataclass(frozen=True)
class ResidualStudy(Study):
    """A study of one recipe with several seeds.

    Attributes:
        draws: number of gradient samples per variance estimate.
    """

    draws: int
    name: str = "psact"
    recipes: ClassVar[RecipeType] = RecipeType(ResidualRecipe, "residual network", "psact_digits")
    reported: ClassVar[str] = "finished run"

    def is_reported(self, run: StudyRun) -> bool:
        """Whether the run is finished, when all reported figures are measured."""
        return run.finished

    def evaluate(self, run: StudyRun) -> Figures:
        """Compute accuracy and cost on held-out images, and gradient variances.

        Returns:
            `metrics` with the kind of block of the recipe; `by_kind`, metrics with every kind of block;
            `spreads`, gradient variances of an untrained network and of the trained one.
        """

        def figures() -> Figures:
            network, recipe = _network(run), _recipe(run)
            batch = _held_out(recipe, recipe.evaluation.size)
            kind = recipe.model.block_kind.by(recipe.objective.evaluation_halting)
            by_kind = {
                name: evaluate_images(network, batch, block_kind(name, recipe.model.patch)).metrics()
                for name in BLOCK_OBJECTIVES
            }
            return {
                "metrics": evaluate_images(network, batch, kind).metrics(),
                "by_kind": by_kind,
                "draws": self.draws,
                "spreads": [one._asdict() for one in _spreads(network, recipe, self.draws)],
            }

        return evaluated_once(run, VERSION * 1_000_000 + self.draws, figures)

    def write_report(
        self, runs: Sequence[StudyRun], records: Sequence[Record], out: Path, command: str
    ) -> list[LatentRow]:
        """Write tables and plots; returns one row per stage and number of latents."""
        whole = [(run, record) for run, record in zip(runs, records, strict=True) if record["evaluation"]]
        if not whole:
            raise TrainingError(f"{out} contains no finished run with valid weights: {records[0]['error']}")
        by_seed = [[LatentSpread(**one) for one in record["evaluation"]["spreads"]] for _, record in whole]
        spreads = [one for found in by_seed for one in found]
        write_text(out / "gradients.csv", latent_csv([run.seed for run, _ in whole], by_seed))
        write_text(out / "summary.md", _summary([record for _, record in whole], spreads, command))
        plot_latents(spreads, out)
        _plot_computation(whole[0][0], out)
        return _rows(spreads)


def plot_computation(
    images: Tensor, scores: ImageScores, least: int, most: int, file: Path, shown: int = 12
) -> None:
    """Draw the first images and their computation maps, as PNG and SVG.

    Args:
        images: (M, 1, S, S).
        scores: results of these images.
        least: smallest number of units of all blocks, the lower end of the colour scale.
        most: largest number of units of all blocks, the upper end of the colour scale.
        file: the file without suffix.
        shown: number of images.

    Raises:
        StorageError: a file cannot be written.

    """
    shown = min(shown, len(images))
    with new_figure(file, 0.85 * shown + 0.9, 2.1) as figure:
        panels = figure.subplots(2, shown, squeeze=False)
        for column in range(shown):
            above, below = panels[:, column]
            above.imshow(images[column, 0].numpy(), cmap="gray", vmin=0, vmax=1)
            drawn = below.imshow(scores.maps[column].numpy(), cmap="magma", vmin=least, vmax=most)
            above.set_title(f"{scores.multiply_adds[column] / 1e6:.1f} M", fontsize=7)
            for axes in (above, below):
                without_axes(axes)
                axes.spines[:].set_visible(False)
        figure.colorbar(drawn, ax=panels.ravel().tolist(), label="units", fraction=0.02, pad=0.01)


def _rows(spreads: Sequence[LatentSpread]) -> list[LatentRow]:
    """Build rows of geometric means over seeds."""
    rows = []
    for stage, latents in dict.fromkeys((s.stage, s.latents) for s in spreads):
        score, relaxed = (
            mean_variance(variances(spreads, stage, latents, name)) for name in (SCORE, RELAXED)
        )
        rows.append(LatentRow(stage, latents, score, relaxed, variance_ratio(spreads, stage, latents)))
    return rows


def _spreads(network: ResidualNetwork, recipe: ResidualRecipe, draws: int) -> list[LatentSpread]:
    """Measure gradient variances at the start and at the end of training."""
    train = open_streams(recipe.data).train

    def batch(index: int) -> Labelled:
        return labelled(train.batch(MEASURED, recipe.seed, recipe.steps + index))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        fresh = ResidualNetwork(recipe.model)
    with torch.no_grad():
        for index in range(1, SETTLED + 1):
            fresh(batch(index).images)
    penalty = getattr(recipe.objective, "time_penalty", 0.0)
    return [
        spread
        for stage, at in (("start", fresh.eval()), ("end", network))
        for spread in latent_spreads(at, stage, penalty, batch, recipe.seed, draws, FITTED)
    ]


def _summary(records: Sequence[Record], spreads: Sequence[LatentSpread], command: str) -> str:
    rows = []
    for kind in records[0]["evaluation"]["by_kind"]:
        figures = [record["evaluation"]["by_kind"][kind] for record in records]
        of = {name: mean(one[name] for one in figures) for name in figures[0]}
        units = [f"{of[f'units_{block}']:.2f}" for block in (1, 2, 3)]
        cost = [f"{of['active_share']:.1%}", f"{of['multiply_adds'] / 1e6:.2f}"]
        rows.append([kind, f"{of['accuracy']:.2%}", *units, *cost])
    draws = records[0]["evaluation"]["draws"]
    head = ["run as", "accuracy", "units of block 1", "2", "3", "active positions", "million multiply-adds"]
    return "\n".join(
        [
            "# Adaptive residual networks\n",
            f"`{command}`\n",
            "The same networks run with each kind of block; means over seeds.\n",
            *markdown_table(head, rows),
            f"\nVariance of the gradient of the mean loss of {MEASURED} images, {draws} draws, nats², "
            "summed over the parameters of all halting maps; ratio: "
            "score function over relaxed; and the squared length of the mean gradient. Means over seeds.\n",
            *latent_table(spreads),
            "",
        ]
    )


def _plot_computation(run: StudyRun, out: Path) -> None:
    recipe = _recipe(run)
    batch = _held_out(recipe, SHOWN)
    kind = recipe.model.block_kind.by(recipe.objective.evaluation_halting)
    scores = evaluate_images(_network(run), batch, kind)
    plot_computation(batch.images, scores, 3, 3 * recipe.model.units, out / "computation")


def _held_out(recipe: ResidualRecipe, size: int) -> Labelled:
    return labelled(open_streams(recipe.data).test.fixed_set(size, recipe.evaluation.seed))


def _network(run: StudyRun) -> ResidualNetwork:
    network = load_network(run)
    assert isinstance(network, ResidualNetwork)
    return network


def _recipe(run: StudyRun) -> ResidualRecipe:
    assert isinstance(run.recipe, ResidualRecipe)
    return run.recipe
