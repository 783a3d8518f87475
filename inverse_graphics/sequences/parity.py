"""Parity: is the number of ones in a vector odd?"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from inverse_graphics.sequences.sequence_batch import SequenceBatch, hardest


class Parity(BaseModel):
    """Vectors of `bits` numbers of which some, anywhere, are 1 or −1 and the others 0: is the count of 1 odd?

    How many are not zero is drawn first, from 1 to `bits`, all as probable; it is the difficulty.
    Source: Graves 2016, section 3.1, with 64 bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["parity"] = "parity"
    bits: int = Field(default=64, ge=1, le=4096)

    @property
    def inputs(self) -> int:
        """One for each bit."""
        return self.bits

    @property
    def answers(self) -> int:
        """One: whether the number is odd."""
        return 1

    @property
    def classes(self) -> int:
        """Two: even and odd."""
        return 2

    @property
    def difficulty(self) -> str:
        """How many numbers are not zero."""
        return "bits that are not zero"

    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Draw `size` sequences of a single vector, up to a share of whose bits are not zero."""
        number = rng.integers(1, hardest(1, self.bits, share) + 1, (size, 1))
        rank = rng.random((size, self.bits), dtype=np.float32).argsort(1)
        signs = rng.integers(0, 2, (size, self.bits), dtype=np.int8) * 2 - 1
        vectors = np.where(rank < number, signs, 0).astype(np.float32)
        odd = (vectors == 1).sum(1, keepdims=True, dtype=np.int64) % 2
        return SequenceBatch(vectors[None], odd[None], np.ones(size, np.int64), number.T)

    def draw_held_out(self, size: int, rng: np.random.Generator) -> SequenceBatch:
        """The same: vectors hardly ever come twice."""
        return self.draw(size, rng)
