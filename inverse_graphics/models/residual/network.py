"""A residual network of three blocks that think, as ResNets for CIFAR are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from inverse_graphics.models.residual.block import BlockThought, ThinkingBlock
from inverse_graphics.models.residual.block_kinds import BlockKind
from inverse_graphics.models.residual.settings import ResidualSettings


class ImageThought(NamedTuple):
    """What a network says of images, and how long it looked where.

    logits: (B, K).  blocks: what each of the three did.
    """

    logits: Tensor
    blocks: Sequence[BlockThought]


class ResidualNetwork(nn.Module):
    """A 3×3 convolution, three blocks, and a linear map of what their features are in the mean.

    The parameters are the same whatever the kind of block: a network trained as one kind may be run as
    another.
    """

    def __init__(self, settings: ResidualSettings) -> None:
        super().__init__()
        self.settings = settings
        widths = (settings.widths[0], *settings.widths)
        self.stem = nn.Conv2d(settings.channels, widths[0], 3, 1, 1, bias=False)
        nn.init.kaiming_normal_(self.stem.weight, mode="fan_out", nonlinearity="relu")
        self.blocks = nn.ModuleList(
            ThinkingBlock(
                widths[index], widths[index + 1], settings.units, 1 if index == 0 else 2,
                settings.halting_bias, settings.delta,
            )
            for index in range(3)
        )  # fmt: skip
        self.norm = nn.BatchNorm2d(widths[-1])
        self.answer = nn.Linear(widths[-1], settings.classes)

    def forward(
        self,
        images: Tensor,
        kinds: BlockKind | Sequence[BlockKind] | None = None,
        generator: torch.Generator | None = None,
    ) -> ImageThought:
        """Classify images (B, channels, S, S) in [0, 1].

        kinds: how blocks are run, one for all or one for each; None: as the settings say.  generator: for
        rules that draw.
        """
        features, thoughts = self.stem(images), []
        for block, kind in zip(self.thinking_blocks, self.kinds(kinds), strict=True):
            thought = block(features, kind, generator)
            features = thought.features
            thoughts.append(thought)
        return ImageThought(self.answers(features), thoughts)

    @property
    def thinking_blocks(self) -> list[ThinkingBlock]:
        """The three of them."""
        return [block for block in self.blocks if isinstance(block, ThinkingBlock)]

    def kinds(self, kinds: BlockKind | Sequence[BlockKind] | None = None) -> Sequence[BlockKind]:
        """One for each block."""
        chosen = self.settings.block_kind if kinds is None else kinds
        return [chosen] * 3 if isinstance(chosen, BlockKind) else chosen

    def answers(self, features: Tensor) -> Tensor:
        """Logits of the classes (B, K), from what the last block left."""
        return self.answer(relu(self.norm(features)).mean((2, 3)))

    def latents(self, kinds: BlockKind | Sequence[BlockKind] | None = None) -> int:
        """How many numbers of units are decided for each image."""
        return sum(
            kind.granularity.latents(size, size)
            for kind, size in zip(self.kinds(kinds), self.settings.map_sizes, strict=True)
            if kind.halting is not None
        )
