"""Sort: in which order do the numbers rise?"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from inverse_graphics.sequences.sequence_batch import NO_TARGET, SequenceBatch, falling_lengths, hardest


class Sort(BaseModel):
    """Normal numbers one by one, then as many zeros: after each zero, the index of the next larger number.

    An input is a number and a flag, 1 with the last number. `shortest` to `longest` numbers are to be
    sorted; how many is the difficulty of all inputs of a sequence.
    Source: Graves 2016, section 3.4.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sort"] = "sort"
    shortest: int = Field(default=2, ge=1, le=1000)
    longest: int = Field(default=15, ge=1, le=1000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest} is more than longest {self.longest}")
        return self

    @property
    def inputs(self) -> int:
        """A number and a flag."""
        return 2

    @property
    def answers(self) -> int:
        """One: an index."""
        return 1

    @property
    def classes(self) -> int:
        """The indices."""
        return self.longest

    @property
    def difficulty(self) -> str:
        """How many numbers are to be sorted."""
        return "numbers"

    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Draw `size` sequences, of the shortest share of the lengths."""
        numbers = falling_lengths(self.shortest, hardest(self.shortest, self.longest, share), size, rng)
        total = 2 * int(numbers[0])
        inputs = np.zeros((total, size, 2), np.float32)
        targets = np.full((total, size, 1), NO_TARGET, np.int64)
        for row, number in enumerate(numbers):
            values = rng.standard_normal(number, dtype=np.float32)
            inputs[:number, row, 0] = values
            inputs[number - 1, row, 1] = 1
            targets[number : 2 * number, row, 0] = values.argsort(kind="stable")
        return SequenceBatch(inputs, targets, 2 * numbers, np.broadcast_to(numbers, (total, size)).copy())

    def draw_held_out(self, size: int, rng: np.random.Generator) -> SequenceBatch:
        """The same: sequences never come twice."""
        return self.draw(size, rng)
