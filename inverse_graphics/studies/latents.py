"""Noise of the halting gradient by the number of latents: score function against relaxed draws.

All groupings and both estimators are measured on the same network and the same images, as the parameters do
not depend on how positions are grouped: only which positions halt together differs, and the random draws.

| latents, of a 32×32 image | positions of the three blocks that halt together |
|---|---|
| 1 | all of the last block; the others run all units |
| 3 | all of a block |
| 21 = 16 + 4 + 1 | squares of 8×8 |
| 84 = 64 + 16 + 4 | squares of 4×4 |
| 336 = 256 + 64 + 16 | squares of 2×2 |
| 1,344 = 1,024 + 256 + 64 | none |

Figurnov et al. 2018 compare 1, 21, 84 and 1,344 latents; that the 1 is the last block's is our reading of
them; 3 and 336 are added.
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
"""Gradients of the same images from which a variance is estimated."""
FITTED = 100
"""Batches to which the moving average is fitted, on a network that does not change."""
PATCHES = (8, 4, 2, 1)
SCORE, RELAXED = "score function", "relaxed"


class LatentSpread(NamedTuple):
    """The gradient of an estimator with a number of latents, on a network at a stage of training.

    Attributes:
        variance: of the gradient of a batch's mean loss, nats², summed over the parameters of all halting
            maps.
        square: squared length of the mean gradient, likewise; less what the noise in this mean adds.
    """

    stage: str
    latents: int
    estimator: str
    variance: float
    square: float


def groupings(network: ResidualNetwork) -> list[list[BlockKind]]:
    """The blocks' kinds, from one latent to one for each position; without squares that do not tile."""
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
    """Of both estimators at all groupings.

    Args:
        network: in evaluation mode, so that an image's loss depends on its own draws alone.
        batch: the images of each number; those of 0 are measured.
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
    """So many gradients of the loss of images by the parameters of all halting maps: (draws, P)."""
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
    """One for each seed."""
    return [s.variance for s in spreads if s[:3] == (stage, latents, estimator)]


def mean_variance(values: Sequence[float]) -> float:
    """The geometric mean; 0 where one of them is."""
    return geometric_mean(values) if all(value > 0 for value in values) else 0.0


def variance_ratio(spreads: Sequence[LatentSpread], stage: str, latents: int) -> float | None:
    """The score function's variance over that of relaxed draws, geometric mean over seeds.

    None where one of them is nothing, as where all halting probabilities are held at δ or 1 − δ.
    """
    score, relaxed = (mean_variance(variances(spreads, stage, latents, name)) for name in (SCORE, RELAXED))
    return score / relaxed if score and relaxed else None


def latent_table(spreads: Sequence[LatentSpread]) -> list[str]:
    """Markdown lines: a row for each number of latents and stage."""
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
    """One line for each seed, stage, number of latents and estimator."""
    rows = [[seed, *one] for seed, found in zip(seeds, spreads, strict=True) for one in found]
    return csv_table(["seed", *LatentSpread._fields], rows)


def plot_latents(spreads: Sequence[LatentSpread], out: Path) -> None:
    """Draw gradients.png and .svg: variance against latents, a panel for each stage; dots are seeds.

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
            axes.set(xscale="log", yscale="log", xlabel="latents of an image", title=f"{stage} of training")
            axes.set_xticks(latents, [f"{n:,}" for n in latents])
            axes.minorticks_off()
            tidy(axes)
        panels[0].set_ylabel("variance of the halting gradient, nats²")
        panels[-1].legend(frameon=False, loc="best")
