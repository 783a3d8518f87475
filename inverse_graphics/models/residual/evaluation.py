"""How well a residual network classifies images that it never learnt from, and how long it looked where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from inverse_graphics.models.residual.block import BlockKind
from inverse_graphics.models.residual.network import NetworkOutput, ResidualNetwork
from inverse_graphics.models.residual.objectives import Labelled
from inverse_graphics.models.residual.operations import active_share, computation_map, multiply_adds

BATCH_SIZE = 250
"""Images that go through the network at once."""


class ImageScores(NamedTuple):
    """What came of M images.

    right: (M,) bool.  loss: (M,), nats.  units: (M, 3), mean over a block's positions.  active: (M,), share
    of positions at which units ran.  multiply_adds: (M,).  maps: (M, S, S), units at each pixel.
    """

    right: Tensor
    loss: Tensor
    units: Tensor
    active: Tensor
    multiply_adds: Tensor
    maps: Tensor

    def metrics(self) -> dict[str, float]:
        """Means over images."""
        units = {f"units_{i}": float(mean) for i, mean in enumerate(self.units.mean(0), start=1)}
        return {
            "accuracy": float(self.right.double().mean()),
            "loss": float(self.loss.mean()),
            **units,
            "active_share": float(self.active.mean()),
            "multiply_adds": float(self.multiply_adds.mean()),
        }


Thinks = Callable[[Tensor, "BlockKind | Sequence[BlockKind] | None", "torch.Generator | None"], NetworkOutput]


@torch.no_grad()
def evaluate_images(
    network: ResidualNetwork,
    batch: Labelled,
    kinds: BlockKind | Sequence[BlockKind] | None = None,
    generator: torch.Generator | None = None,
    think: Thinks | None = None,
) -> ImageScores:
    """Let a network in evaluation mode classify; kinds and generator as for `ResidualNetwork.forward`.

    think: what runs it, the network itself unless given, such as a `CompactedNetwork` of it.
    """
    parts = []
    for images, classes in zip(
        torch.split(batch.images, BATCH_SIZE), torch.split(batch.classes, BATCH_SIZE), strict=True
    ):
        thought = (think or network)(images, kinds, generator)
        parts.append(
            ImageScores(
                thought.logits.argmax(1) == classes,
                cross_entropy(thought.logits, classes, reduction="none").double(),
                torch.stack([block.steps.mean((1, 2)) for block in thought.blocks], 1).double(),
                active_share(thought).double(),
                multiply_adds(network, thought),
                computation_map(thought, images.shape[-1]),
            )
        )
    return ImageScores(*(torch.cat(part) for part in zip(*parts, strict=True)))
