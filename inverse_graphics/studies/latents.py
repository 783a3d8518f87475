"""How noisy the gradient of halting is by the number of latents: score function against relaxed draws.

All groupings and both estimators are put to the same network and the same images, as the parameters do not
depend on how positions are grouped; what differs is which of them halt together, and what is drawn.

| latents, of a 32×32 image | positions of the three blocks that halt together |
|---|---|
| 1 | all of the last block; the others run all units |
| 3 | all of a block |
| 21 = 16 + 4 + 1 | squares of 8×8 |
| 84 = 64 + 16 + 4 | squares of 4×4 |
| 336 = 256 + 64 + 16 | squares of 2×2 |
| 1,344 = 1,024 + 256 + 64 | none |

Figurnov et al. 2018 compare 1, 21, 84 and 1,344 latents. That the 1 is the last block's is how it is
read here; 3 and 336 are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.models.adaptive.thinking_settings import ReinforceObjective, RelaxedObjective
from inverse_graphics.models.residual.block_kinds import BlockKind, block_kind
from inverse_graphics.models.residual.network import ResidualNetwork
from inverse_graphics.models.residual.objectives import (
    Labelled,
    ReinforcePsact,
    RelaxedPsact,
    ResidualObjective,
)
from inverse_graphics.studies.gradient_variance import spread

DRAWS = 100
"""Gradients of the same images from which a variance is estimated."""
FITTED = 100
"""Batches in which the moving average gets to know a network that stands still."""
PATCHES = (8, 4, 2, 1)
SCORE, RELAXED = "score function", "relaxed"


class LatentSpread(NamedTuple):
    """An estimator at a number of latents, on a network at a stage of training.

    variance: of the gradient of a batch's mean loss, nats², summed over the parameters of all halting maps.
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

    network: in evaluation mode, so that an image's loss depends on its own draws alone.  batch: the images
    of each number; those of 0 are judged.
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
