"""Variance of the halting gradient by the number of latents: score function and relaxed samples.

All groupings and both estimators are measured on the same network and images, as the parameters do not depend
on how positions are grouped into latents.

| latents of a 32×32 image | positions that share a latent, in the three blocks |
|---|---|
| 1 | all of the last block; the other blocks run all units |
| 3 | all of each block |
| 21 = 16 + 4 + 1 | squares of 8×8 |
| 84 = 64 + 16 + 4 | squares of 4×4 |
| 336 = 256 + 64 + 16 | squares of 2×2 |
| 1,344 = 1,024 + 256 + 64 | none |

Figurnov et al. 2018 compare 1, 21, 84 and 1,344 latents (we assume that the single latent is the last
block's); 3 and 336 are added here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path
from statistics import geometric_mean, mean
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.models.adaptive.settings import ReinforceObjective, RelaxedObjective
from inverse_graphics.models.residual.block import BlockKind, block_kind
from inverse_graphics.models.residual.network import ResidualNetwork
from inverse_graphics.models.residual.objectives import (
    Labelled,
    ReinforcePsact,
    RelaxedPsact,
    ResidualObjective,
)
from inverse_graphics.studies.estimators import spread
from inverse_graphics.studies.plotting import new_figure, tidy
from inverse_graphics.studies.records import csv_table, markdown_table

DRAWS = 100
"""Number of gradient samples per variance estimate."""
FITTED = 100
"""Number of batches from which the moving-average baseline is computed, on a fixed network."""
PATCHES = (8, 4, 2, 1)
SCORE, RELAXED = "score function", "relaxed"


class LatentSpread(NamedTuple):
    """Mean and variance of an estimator's halting gradient, for a number of latents and a stage of training.

    Attributes:
        stage: the stage of training.
        latents: number of latents per image.
        estimator: name of the estimator.
        variance: variance of the gradient of a batch's mean loss, nats², summed over the parameters of all
            halting maps.
        square: squared norm of the mean gradient, nats², corrected for the sampling noise of the mean.
    """

    stage: str
    latents: int
    estimator: str
    variance: float
    square: float


def groupings(network: ResidualNetwork) -> list[list[BlockKind]]:
    """The kinds of the blocks for each number of latents; patches that do not tile the maps are omitted."""
    plain, whole = block_kind("plain"), block_kind("pact")
    patches = [block_kind("psact", patch) for patch in PATCHES]
    sizes = network.settings.map_sizes
    tile = [kind for kind in patches if all(kind.granularity.fits(size, size) for size in sizes)]
    return [[plain, plain, whole], [whole] * 3, *([kind] * 3 for kind in tile)]


def latent_spreads(
    network: ResidualNetwork,
    stage: str,
    time_penalty: float,
    batch: Callable[[int], Labelled],
    seed: int,
    draws: int = DRAWS,
    fitted: int = FITTED,
) -> list[LatentSpread]:
    """Measure both estimators with all groupings.

    Args:
        network: in evaluation mode, so that an image's loss depends only on its own samples.
        stage: the stage of training.
        time_penalty: τ, nats.
        batch: gives the batch of an index; batch 0 is measured, later ones fit the baseline.
        seed: seed of the samples.
        draws: number of gradient samples.
        fitted: number of batches that fit the baseline.
    """
    found = []
    for kinds in groupings(network):
        for estimator, objective in _objectives(network, time_penalty, kinds).items():
            generator = torch.Generator().manual_seed(seed)
            if isinstance(objective, ReinforcePsact):
                with torch.no_grad():
                    for index in range(1, fitted + 1):
                        objective.loss(batch(index), generator)
            drawn = halting_gradients(objective, batch(0), draws, generator)
            variance, square = spread(drawn)
            size = drawn.shape[1]
            found.append(
                LatentSpread(stage, network.latents(kinds), estimator, variance * size, square * size)
            )
    return found


def halting_gradients(
    objective: ResidualObjective, batch: Labelled, draws: int, generator: torch.Generator
) -> Tensor:
    """Sample gradients of the loss with respect to the parameters of all halting maps: (draws, P)."""
    maps = [p for name, p in objective.network.named_parameters() if ".halts." in name]
    gradients = []
    for _ in range(draws):
        loss, _ = objective.loss(batch, generator)
        parts = torch.autograd.grad(loss, maps, allow_unused=True, materialize_grads=True)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(gradients)


def _objectives(
    network: ResidualNetwork, time_penalty: float, kinds: Sequence[BlockKind]
) -> dict[str, ResidualObjective]:
    return {
        SCORE: ReinforcePsact(network, ReinforceObjective(time_penalty=time_penalty), list(kinds)),
        RELAXED: RelaxedPsact(network, RelaxedObjective(time_penalty=time_penalty, floor=0.0), list(kinds)),
    }


COLOURS = {SCORE: "#2a9d8f", RELAXED: "#c8553d"}


def variances(spreads: Sequence[LatentSpread], stage: str, latents: int, estimator: str) -> list[float]:
    """The variances of all seeds."""
    return [s.variance for s in spreads if s[:3] == (stage, latents, estimator)]


def mean_variance(values: Sequence[float]) -> float:
    """The geometric mean; 0 if any value is 0."""
    return geometric_mean(values) if all(value > 0 for value in values) else 0.0


def variance_ratio(spreads: Sequence[LatentSpread], stage: str, latents: int) -> float | None:
    """Ratio of the variances of score function and relaxed samples, geometric mean over seeds.

    None if one of them is 0, as when all halting probabilities are clamped to δ or 1 − δ.
    """
    score, relaxed = (mean_variance(variances(spreads, stage, latents, name)) for name in (SCORE, RELAXED))
    return score / relaxed if score and relaxed else None


def latent_table(spreads: Sequence[LatentSpread]) -> list[str]:
    """Lines of a Markdown table with a row per number of latents and stage."""
    rows = []
    for stage, latents in dict.fromkeys((s.stage, s.latents) for s in spreads):
        noise = [mean_variance(variances(spreads, stage, latents, name)) for name in (SCORE, RELAXED)]
        squares = [
            mean(s.square for s in spreads if s[:3] == (stage, latents, name)) for name in (SCORE, RELAXED)
        ]
        ratio = variance_ratio(spreads, stage, latents)
        cells = [*(f"{value:.2g}" for value in noise), f"{ratio:,.0f}" if ratio else ""]
        rows.append([stage, f"{latents:,}", *cells, *(f"{value:.2g}" for value in squares)])
    head = [
        "stage",
        "latents",
        "score function",
        "relaxed",
        "ratio",
        "squared mean, score function",
        "relaxed",
    ]
    return markdown_table(head, rows)


def latent_csv(seeds: Sequence[int], spreads: Sequence[Sequence[LatentSpread]]) -> str:
    """CSV with one line per seed, stage, number of latents and estimator."""
    rows = [[seed, *one] for seed, found in zip(seeds, spreads, strict=True) for one in found]
    return csv_table(["seed", *LatentSpread._fields], rows)


def plot_latents(spreads: Sequence[LatentSpread], out: Path) -> None:
    """Write gradients.png and .svg: variance against number of latents, a panel per stage; dots are seeds.

    Raises:
        StorageError: a file cannot be written.
    """
    stages = list(dict.fromkeys(s.stage for s in spreads))
    with new_figure(out / "gradients", 3.2 * len(stages) + 0.4, 3.0) as figure:
        panels = figure.subplots(1, len(stages), squeeze=False, sharex=True, sharey=True)[0]
        for axes, stage in zip(panels, stages, strict=True):
            for name, colour in COLOURS.items():
                dots = [s for s in spreads if (s.stage, s.estimator) == (stage, name) and s.variance > 0]
                measured = sorted({s.latents for s in dots})
                means = [mean_variance(variances(spreads, stage, n, name)) or nan for n in measured]
                axes.plot(measured, means, color=colour, linewidth=1.4, label=name)
                axes.plot(
                    [s.latents for s in dots], [s.variance for s in dots], "o", color=colour, markersize=4
                )
            latents = sorted({s.latents for s in spreads})
            axes.set(xscale="log", yscale="log", xlabel="latents per image", title=f"{stage} of training")
            axes.set_xticks(latents, [f"{n:,}" for n in latents])
            axes.minorticks_off()
            tidy(axes)
        panels[0].set_ylabel("variance of the halting gradient, nats²")
        panels[-1].legend(frameon=False, loc="best")
