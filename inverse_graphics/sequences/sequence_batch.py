"""Batches of sequences of different lengths with their targets, and the problems that sample them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from inverse_graphics.io.registry import Registry

NO_TARGET = -1


class SequenceBatch(NamedTuple):
    """B sequences of at most T inputs, the longest first, padded with zeros.

    Attributes:
        inputs: (T, B, I) float32.
        targets: (T, B, K) int64, K answers after each input, NO_TARGET where there is none.
        lengths: (B,) int64, decreasing.
        difficulty: (T, B) int64, of each input, defined by the problem.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    difficulty: NDArray[np.int64]

    @property
    def rows(self) -> list[int]:
        """The number of sequences that have an input at each time: T numbers."""
        times = np.arange(len(self.inputs))[:, None]
        return [int(number) for number in (self.lengths > times).sum(1)]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the inputs that are not padding: (T, B)."""
        return np.arange(len(self.inputs))[:, None] < self.lengths


class Problem(BaseModel, ABC):
    """A sequence problem: inputs, targets and their difficulty.

    Attributes:
        difficulty: what measures the difficulty of an input, for labels of plots.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    difficulty: ClassVar[str]

    kind: str

    @property
    @abstractmethod
    def inputs(self) -> int:
        """I, numbers in an input."""

    @property
    def answers(self) -> int:
        """K, answers after each input; default 1."""
        return 1

    @property
    def classes(self) -> int:
        """The number of classes of each answer; default 2."""
        return 2

    @abstractmethod
    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Sample `size` training sequences.

        Args:
            share: in (0, 1], of the range of difficulties, from the lowest.
        """

    def draw_test(self, size: int, rng: np.random.Generator) -> SequenceBatch:
        """Sample `size` test sequences; by default by `draw`, as repeated sequences are very improbable."""
        return self.draw(size, rng)


PROBLEMS: Registry[type[Problem]] = Registry(
    "problem",
    "inverse_graphics.sequences.bits",
    "inverse_graphics.sequences.numbers",
    "inverse_graphics.sequences.text",
)
"""Problems by the names that recipes give them as `data.kind`."""


def descending_lengths(shortest: int, longest: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sample lengths uniformly from `shortest` to `longest` and sort them, longest first: (size,)."""
    return np.sort(rng.integers(shortest, longest + 1, size))[::-1].copy()


def max_difficulty(low: int, high: int, share: float) -> int:
    """The largest difficulty in the first `share` of the range from `low` to `high`."""
    return low - 1 + max(1, math.ceil(share * (high - low + 1)))


def one_hot(indices: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Encode indices (...) as (..., classes); zeros where an index is negative."""
    return (indices[..., None] == np.arange(classes)).astype(np.float32)
