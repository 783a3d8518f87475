"""Batches of sequences of different lengths with their targets, and the problems that they are drawn from."""

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
    """B sequences of at most T inputs, the longest first; zeros beyond their ends.

    inputs: (T, B, I) float32.  targets: (T, B, K) int64, K answers after each input, NO_TARGET where there is
    none.  lengths: (B,) int64, falling.  difficulty: (T, B) int64, of each input, as the problem defines it.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    difficulty: NDArray[np.int64]

    @property
    def rows(self) -> list[int]:
        """How many sequences, from the first, are not over yet at each time: T numbers."""
        times = np.arange(len(self.inputs))[:, None]
        return [int(number) for number in (self.lengths > times).sum(1)]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Which inputs there are: (T, B)."""
        return np.arange(len(self.inputs))[:, None] < self.lengths


class Problem(BaseModel, ABC):
    """Settings of a problem over sequences, and its distribution.

    difficulty: what makes an input difficult, in a few words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    difficulty: ClassVar[str]

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
        """Classes of each answer; default 2."""
        return 2

    @abstractmethod
    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Draw `size` sequences for training.

        share: in (0, 1], up to where in the range of difficulties they go.
        """

    def draw_held_out(self, size: int, rng: np.random.Generator) -> SequenceBatch:
        """Draw `size` sequences for evaluation; by default as for training, as hardly any comes twice."""
        return self.draw(size, rng)


PROBLEMS: Registry[type[Problem]] = Registry(
    "problem",
    "inverse_graphics.sequences.bits",
    "inverse_graphics.sequences.numbers",
    "inverse_graphics.sequences.text",
)
"""Problems by the names that recipes give them as `data.kind`."""


def falling_lengths(shortest: int, longest: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Lengths from `shortest` to `longest`, all as probable, longest first: (size,)."""
    return np.sort(rng.integers(shortest, longest + 1, size))[::-1].copy()


def hardest(least: int, most: int, share: float) -> int:
    """The largest difficulty in the first `share` of the numbers from `least` to `most`."""
    return least - 1 + max(1, math.ceil(share * (most - least + 1)))


def one_hot(indices: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """(...) to (..., classes); zeros where an index is negative."""
    return (indices[..., None] == np.arange(classes)).astype(np.float32)
