"""What a residual network that thinks is like."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inverse_graphics.models.residual.block_kinds import BlockKind, KindName, block_kind

Width = Annotated[int, Field(ge=1, le=4096)]


class ResidualSettings(BaseModel):
    """Three blocks of residual units on maps of full, half and quarter size, and who decides how many run.

    units: of each block: 5 make a ResNet-32, 18 a ResNet-110 (6 units + 2 layers).  widths: channels of the
    blocks.  block: the kind of all blocks (`block_kinds`).  patch: of sact and psact, the side, in positions,
    of the squares that halt together.  halting_bias: logit of halting at the start.  delta: halting
    probabilities are kept in [delta, 1 − delta].
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
        """How all blocks are run, unless told otherwise."""
        return block_kind(self.block, self.patch)

    @property
    def map_sizes(self) -> tuple[int, int, int]:
        """Sides of the blocks' maps, positions."""
        return self.image_size, self.image_size // 2, self.image_size // 4

    @model_validator(mode="after")
    def _maps_tile(self) -> Self:
        if self.image_size % 4:
            raise ValueError(f"image_size {self.image_size} is no multiple of 4: maps are halved twice")
        for size in self.map_sizes:
            if not self.block_kind.granularity.fits(size, size):
                raise ValueError(f"patch {self.patch} does not tile a map of {size}×{size} positions")
        if list(self.widths) != sorted(self.widths):
            raise ValueError("widths do not fall: what is carried past a unit gets channels, and loses none")
        return self
