"""Addition (the sum of all numbers so far, digit by digit) and sorting (the order of increasing numbers)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from inverse_graphics.sequences.sequence_batch import (
    NO_TARGET,
    PROBLEMS,
    Problem,
    SequenceBatch,
    descending_lengths,
    max_difficulty,
    one_hot,
)

BEYOND = 10
"""The class of digits beyond the end of a number."""


@PROBLEMS.register("addition")
class Addition(Problem):
    """After each number of 1 to `digits` digits, any of which may be 0, but the first: the sum so far.

    A number is encoded as ten values for each of `digits` digits, one-hot from the most significant, zeros
    beyond its end. A sum is digits + 1 answers: a digit, or BEYOND. Sequences have 1 to `length` numbers; the
    number of digits is the difficulty.
    Source: Graves 2016, section 3.3.
    """

    difficulty: ClassVar[str] = "digits"

    kind: Literal["addition"] = "addition"
    digits: int = Field(default=5, ge=1, le=16)
    length: int = Field(default=5, ge=2, le=9)

    @property
    def inputs(self) -> int:
        """Ten values per digit."""
        return 10 * self.digits

    @property
    def answers(self) -> int:
        """The digits of the sum: one more, as there are fewer than ten numbers."""
        return self.digits + 1

    @property
    def classes(self) -> int:
        """Ten digits, and BEYOND."""
        return 11

    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Sample `size` sequences, of numbers of up to `share` of the digits."""
        lengths = descending_lengths(1, self.length, size, rng)
        shape = (int(lengths[0]), size)
        number = rng.integers(1, max_difficulty(1, self.digits, share) + 1, shape)
        digits = rng.integers(0, 10, (*shape, self.digits))
        place = number[..., None] - 1 - np.arange(self.digits)
        values = np.where(place >= 0, digits * 10 ** np.maximum(place, 0), 0).sum(-1)
        digits[place < 0] = -1
        over = np.arange(shape[0])[:, None] >= lengths
        digits[over] = -1
        targets = written(values.cumsum(0), self.answers)
        targets[0], targets[over] = NO_TARGET, NO_TARGET
        return SequenceBatch(one_hot(digits, 10).reshape(*shape, -1), targets, lengths, number)


@PROBLEMS.register("sort")
class Sort(Problem):
    """Normally distributed numbers, then as many zeros: after each zero, the index of the next larger number.

    An input is a number and a flag, which is 1 at the last number. There are `shortest` to `longest` numbers;
    how many is the difficulty of all inputs of a sequence.
    Source: Graves 2016, section 3.4.
    """

    difficulty: ClassVar[str] = "numbers"

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
    def classes(self) -> int:
        """The indices."""
        return self.longest

    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Sample `size` sequences, of the shortest `share` of the lengths."""
        numbers = descending_lengths(
            self.shortest, max_difficulty(self.shortest, self.longest, share), size, rng
        )
        total = 2 * int(numbers[0])
        inputs = np.zeros((total, size, 2), np.float32)
        targets = np.full((total, size, 1), NO_TARGET, np.int64)
        for row, number in enumerate(numbers):
            values = rng.standard_normal(number, dtype=np.float32)
            inputs[:number, row, 0] = values
            inputs[number - 1, row, 1] = 1
            targets[number : 2 * number, row, 0] = values.argsort(kind="stable")
        return SequenceBatch(inputs, targets, 2 * numbers, np.broadcast_to(numbers, (total, size)).copy())


def written(numbers: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The digits of numbers (...), the most significant first, then BEYOND: (..., width)."""
    powers = 10 ** np.arange(1, width)
    count = 1 + (numbers[..., None] >= powers).sum(-1)
    place = count[..., None] - 1 - np.arange(width)
    return np.where(place >= 0, numbers[..., None] // 10 ** np.maximum(place, 0) % 10, BEYOND)
