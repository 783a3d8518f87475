"""Evaluation of residual networks on test images: accuracy, multiply-adds, and units that ran at each pixel.

Multiply-adds are counted as in Figurnov et al. 2017: a unit's second convolution at active positions, its
first one there and at their eight neighbours, which the second one reads; halting maps at active positions.
At the first unit of a block all positions are active. Norms, activations and pools are not counted; the
authors count two operations for each of these multiply-adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from inverse_graphics.models.residual.block import AdaptiveBlock, BlockKind, BlockOutput
from inverse_graphics.models.residual.compaction import dilated
from inverse_graphics.models.residual.network import NetworkOutput, ResidualNetwork
from inverse_graphics.models.residual.objectives import Labelled


def multiply_adds(network: ResidualNetwork, output: NetworkOutput) -> Tensor:
    """Count the multiply-adds of each image: (B,) float64.

    Args:
        output: of the network.
    """
    size = network.settings.image_size
    fixed = _weights(network.stem) * size**2 + _weights(network.answer)
    total = output.logits.new_full((len(output.logits),), float(fixed), dtype=torch.float64)
    for block, done in zip(network.adaptive_blocks, output.blocks, strict=True):
        total += _of_block(block, done)
    return total


def active_share(output: NetworkOutput) -> Tensor:
    """The share of the positions of all units that were computed: (B,)."""
    ran = torch.stack([block.steps.sum((1, 2)) for block in output.blocks]).sum(0)
    possible = sum(block.pondering.steps * block.features.shape[-2] * block.features.shape[-1]
                for block in output.blocks)  # fmt: skip
    return ran / possible


def _of_block(block: AdaptiveBlock, done: BlockOutput) -> Tensor:
    total = done.features.new_zeros(len(done.features), dtype=torch.float64)
    adaptive = torch.isfinite(done.pondering.halt_logits[0]).any()
    for index, unit in enumerate(block.residual_units):
        active = done.active(index)
        here, around = (mask.sum((1, 2)).double() for mask in (active, dilated(active)))
        total += _weights(unit.conv1) * around + _weights(unit.conv2) * here
        if adaptive and index < len(block.halts):
            halts = block.halting_maps[index]
            total += _weights(halts.near) * here + _weights(halts.far) * (here > 0)
    return total


def _weights(layer: nn.Module) -> int:
    assert isinstance(layer.weight, Tensor)
    return layer.weight.numel()


def computation_map(output: NetworkOutput, size: int) -> Tensor:
    """Sum over blocks the units that ran at the position of each pixel: (B, S, S).

    Args:
        size: S.
    """
    maps = [interpolate(block.steps[:, None], size=(size, size)) for block in output.blocks]
    return torch.stack(maps).sum(0)[:, 0]


BATCH_SIZE = 250
"""Images per forward pass."""


class ImageScores(NamedTuple):
    """Results of M images.

    Attributes:
        right: (M,) bool, whether the predicted class is correct.
        loss: (M,), nats.
        units: (M, 3), mean over a block's positions.
        active: (M,), share of positions at which units ran.
        multiply_adds: (M,).
        maps: (M, S, S), units that ran at each pixel.
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


Forward = Callable[
    [Tensor, "BlockKind | Sequence[BlockKind] | None", "torch.Generator | None"], NetworkOutput
]


@torch.no_grad()
def evaluate_images(
    network: ResidualNetwork,
    batch: Labelled,
    kinds: BlockKind | Sequence[BlockKind] | None = None,
    generator: torch.Generator | None = None,
    forward: Forward | None = None,
) -> ImageScores:
    """Evaluate a network, in evaluation mode, on labelled images.

    Args:
        network: the network.
        batch: test images.
        kinds: as for `ResidualNetwork.forward`.
        generator: as for `ResidualNetwork.forward`.
        forward: runs the network, such as a `CompactedNetwork`; by default the network itself.
    """
    parts = []
    for images, classes in zip(
        torch.split(batch.images, BATCH_SIZE), torch.split(batch.classes, BATCH_SIZE), strict=True
    ):
        output = (forward or network)(images, kinds, generator)
        parts.append(
            ImageScores(
                output.logits.argmax(1) == classes,
                cross_entropy(output.logits, classes, reduction="none").double(),
                torch.stack([block.steps.mean((1, 2)) for block in output.blocks], 1).double(),
                active_share(output).double(),
                multiply_adds(network, output),
                computation_map(output, images.shape[-1]),
            )
        )
    return ImageScores(*(torch.cat(part) for part in zip(*parts, strict=True)))
