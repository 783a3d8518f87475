"""A residual network evaluated without work where it has halted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inverse_graphics.models.residual.block_kinds import BlockKind
from inverse_graphics.models.residual.compacted_block import CompactedBlock
from inverse_graphics.models.residual.network import ImageThought, ResidualNetwork


class CompactedNetwork:
    """A network in evaluation mode, its parameters as they are now; the answers are the same to rounding.

    Raises:
        ValueError: the network is in training mode.
    """

    def __init__(self, network: ResidualNetwork) -> None:
        self.network = network
        self.blocks = [CompactedBlock(block) for block in network.thinking_blocks]

    @torch.no_grad()
    def __call__(
        self,
        images: Tensor,
        kinds: BlockKind | Sequence[BlockKind] | None = None,
        generator: torch.Generator | None = None,
    ) -> ImageThought:
        """As `ResidualNetwork.forward`."""
        features, thoughts = self.network.stem(images), []
        for block, kind in zip(self.blocks, self.network.kinds(kinds), strict=True):
            thought = block(features, kind, generator)
            features = thought.features
            thoughts.append(thought)
        return ImageThought(self.network.answers(features), thoughts)
