"""A residual network of three blocks with adaptive computation, with the structure of ResNets for CIFAR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import relu

from inverse_graphics.models.residual.block import (
    AdaptiveBlock,
    BlockKind,
    BlockOutput,
    KindName,
    block_kind,
)
from inverse_graphics.models.weights import register_network

Width = Annotated[int, Field(ge=1, le=4096)]


class ResidualSettings(BaseModel):
    """Settings of three blocks of residual units on maps of full, half and quarter size.

    Attributes:
        units: of each block: 5 for a ResNet-32, 18 for a ResNet-110 (6 units + 2 layers).
        widths: channels of the blocks.
        block: the kind of all blocks (`block_kind`).
        patch: for sact and psact, the side, in positions, of the squares that share a latent.
        halting_bias: initial halting logit.
        delta: halting probabilities are clamped to [delta, 1 − delta].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["residual"] = "residual"
    image_size: int = Field(default=32, ge=8, le=1024, description="height and width of an image, pixels")
    channels: int = Field(default=1, ge=1, le=64)
    classes: int = Field(default=10, ge=2, le=100_000)
    units: int = Field(default=5, ge=1, le=1000)
    widths: tuple[Width, Width, Width] = (16, 32, 64)
    block: KindName = "psact"
    patch: int = Field(default=1, ge=1, le=1024)
    halting_bias: float = Field(default=-3.0, ge=-20, le=20)
    delta: float = Field(default=1e-3, gt=0, lt=0.5)

    @property
    def block_kind(self) -> BlockKind:
        """The default kind of all blocks."""
        return block_kind(self.block, self.patch)

    @property
    def map_sizes(self) -> tuple[int, int, int]:
        """Sides of the blocks' maps, in positions."""
        return self.image_size, self.image_size // 2, self.image_size // 4

    @model_validator(mode="after")
    def _maps_tile(self) -> Self:
        if self.image_size % 4:
            raise ValueError(f"image_size {self.image_size}: expected a multiple of 4")
        for size in self.map_sizes:
            if not self.block_kind.granularity.fits(size, size):
                raise ValueError(f"patch {self.patch} does not tile a map of {size}×{size} positions")
        if list(self.widths) != sorted(self.widths):
            raise ValueError("widths: expected no decrease, as skip connections only add channels")
        return self


class NetworkOutput(NamedTuple):
    """The output of a network.

    Attributes:
        logits: (B, K).
        blocks: outputs of the three blocks.
    """

    logits: Tensor
    blocks: Sequence[BlockOutput]


@register_network("residual", ResidualSettings)
class ResidualNetwork(nn.Module):
    """A 3×3 convolution, three blocks, and a linear map of the mean features.

    The parameters do not depend on the kind of the blocks: a network trained with one kind may be run with
    another.
    """

    def __init__(self, settings: ResidualSettings) -> None:
        super().__init__()
        self.settings = settings
        widths = (settings.widths[0], *settings.widths)
        self.stem = nn.Conv2d(settings.channels, widths[0], 3, 1, 1, bias=False)
        nn.init.kaiming_normal_(self.stem.weight, mode="fan_out", nonlinearity="relu")
        self.blocks = nn.ModuleList(
            AdaptiveBlock(
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
    ) -> NetworkOutput:
        """Classify images.

        Args:
            images: (B, channels, S, S) in [0, 1].
            kinds: of the blocks, one for all or one for each; by default that of the settings.
            generator: for rules that sample.
        """
        features, outputs = self.stem(images), []
        for block, kind in zip(self.adaptive_blocks, self.kinds(kinds), strict=True):
            output = block(features, kind, generator)
            features = output.features
            outputs.append(output)
        return NetworkOutput(self.answers(features), outputs)

    @property
    def adaptive_blocks(self) -> list[AdaptiveBlock]:
        """The three blocks."""
        return [block for block in self.blocks if isinstance(block, AdaptiveBlock)]

    def kinds(self, kinds: BlockKind | Sequence[BlockKind] | None = None) -> Sequence[BlockKind]:
        """The kind of each block."""
        chosen = self.settings.block_kind if kinds is None else kinds
        return [chosen] * 3 if isinstance(chosen, BlockKind) else chosen

    def answers(self, features: Tensor) -> Tensor:
        """Logits of the classes (B, K), from the features of the last block."""
        return self.answer(relu(self.norm(features)).mean((2, 3)))

    def latents(self, kinds: BlockKind | Sequence[BlockKind] | None = None) -> int:
        """The number of latents of each image."""
        return sum(
            kind.granularity.latents(size, size)
            for kind, size in zip(self.kinds(kinds), self.settings.map_sizes, strict=True)
            if kind.halting is not None
        )
