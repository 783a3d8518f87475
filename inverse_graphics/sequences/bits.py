"""Parity (is the number of ones in a vector odd?) and logic (the result of a chain of gates on two bits)."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inverse_graphics.sequences.sequence_batch import (
    NO_TARGET,
    PROBLEMS,
    Problem,
    SequenceBatch,
    descending_lengths,
    max_difficulty,
    one_hot,
)


@PROBLEMS.register("parity")
class Parity(Problem):
    """Parity of the number of ones in a vector of `bits` values, each 1, −1 or 0.

    The number of non-zero values is sampled uniformly from 1 to `bits`; it is the difficulty. Their places
    and signs are uniform.
    Source: Graves 2016, section 3.1, with 64 bits.
    """

    difficulty: ClassVar[str] = "bits that are not zero"

    kind: Literal["parity"] = "parity"
    bits: int = Field(default=64, ge=1, le=4096)

    @property
    def inputs(self) -> int:
        """One for each bit."""
        return self.bits

    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Sample `size` sequences of a single vector, of which up to `share` of the bits are non-zero."""
        number = rng.integers(1, max_difficulty(1, self.bits, share) + 1, (size, 1))
        rank = rng.random((size, self.bits), dtype=np.float32).argsort(1)
        signs = rng.integers(0, 2, (size, self.bits), dtype=np.int8) * 2 - 1
        vectors = np.where(rank < number, signs, 0).astype(np.float32)
        odd = (vectors == 1).sum(1, keepdims=True, dtype=np.int64) % 2
        return SequenceBatch(vectors[None], odd[None], np.ones(size, np.int64), number.T)


GATES = {
    "nor": "FFFT", "xq": "FFTF", "abj": "FTFF", "xor": "FTTF", "nand": "FTTT",
    "and": "TFFF", "xnor": "TFFT", "if/then": "TFTT", "then/if": "TTFT", "or": "TTTF",
}  # fmt: skip
"""Output of each gate for (P, Q) = TT, TF, FT and FF (Graves 2016, table 1)."""

TRUTH: NDArray[np.int64] = np.array(
    [[[row[3] == "T", row[2] == "T"], [row[1] == "T", row[0] == "T"]] for row in GATES.values()], np.int64
)
"""(gate, P, Q)."""


@PROBLEMS.register("logic")
class Logic(Problem):
    """The truth value b_{B+1} of two bits and up to `gates` gates: b_{i+1} = T_i(b_i, b_{i−1}).

    A vector contains b_0 and b_1, then ten values per gate, one-hot, zeros where there is none. After the
    first vector b_0 is the answer to the previous one and its input is 0. Sequences have 1 to `length`
    vectors of 1 to `gates` gates; the number of gates is the difficulty.
    Source: Graves 2016, section 3.2.
    """

    difficulty: ClassVar[str] = "gates"

    kind: Literal["logic"] = "logic"
    gates: int = Field(default=10, ge=1, le=100)
    length: int = Field(default=10, ge=1, le=1000)

    @property
    def inputs(self) -> int:
        """Two bits, and ten values per gate."""
        return 2 + len(TRUTH) * self.gates

    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Sample `size` sequences, of vectors with up to `share` of the gates."""
        lengths = descending_lengths(1, self.length, size, rng)
        shape = (int(lengths[0]), size)
        number = rng.integers(1, max_difficulty(1, self.gates, share) + 1, shape)
        gates = rng.integers(0, len(TRUTH), (*shape, self.gates))
        gates[np.arange(self.gates) >= number[..., None]] = -1
        bits = rng.integers(0, 2, (*shape, 2))
        answers = _answers(bits, gates)
        bits[1:, :, 0] = 0
        chunks = one_hot(gates, len(TRUTH)).reshape(*shape, -1)
        inputs = np.concatenate([bits.astype(np.float32), chunks], -1)
        over = np.arange(shape[0])[:, None] >= lengths
        inputs[over], answers[over] = 0, NO_TARGET
        return SequenceBatch(inputs, answers[..., None], lengths, number)


def _answers(bits: NDArray[np.int64], gates: NDArray[np.int64]) -> NDArray[np.int64]:
    """The truth values.

    Args:
        bits: (T, B, 2), b_0 and b_1.
        gates: (T, B, G), −1 for none.

    Returns:
        (T, B).
    """
    answers = np.empty(bits.shape[:2], np.int64)
    before = bits[0, :, 0]
    for time, row in enumerate(gates):
        current = bits[time, :, 1]
        for gate in row.T:
            following = np.where(gate >= 0, TRUTH[gate, current, before], current)
            before = np.where(gate >= 0, current, before)
            current = following
        answers[time] = before = current
    return answers
