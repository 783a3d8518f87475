"""Text: prediction of the next byte."""

from __future__ import annotations

import pydoc_data
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inverse_graphics.errors import DataError
from inverse_graphics.sequences.sequence_batch import PROBLEMS, Problem, SequenceBatch, one_hot

BYTES = 256
TEST_SHARE = 10
"""One byte in this many, at the end of the file, belongs to the test set."""


@PROBLEMS.register("text")
class Text(Problem):
    """The bytes of a file, one-hot; the target of each is the next byte.

    All inputs have the same difficulty. The last tenth of the file is the test set.
    Source: Graves 2016, section 3.5, with sequences of 500 bytes of Wikipedia.


    Attributes:
        file: None for the language reference that comes with Python, 0.7 MB of English and code.
        length: of sequences, bytes; they begin anywhere in the file.
    """

    difficulty: ClassVar[str] = "byte"

    kind: Literal["text"] = "text"
    file: Path | None = None
    length: int = Field(default=100, ge=1, le=100_000)

    @property
    def inputs(self) -> int:
        """256, the number of byte values."""
        return BYTES

    @property
    def classes(self) -> int:
        """256, the number of byte values."""
        return BYTES

    def draw(self, size: int, rng: np.random.Generator, share: float = 1.0) -> SequenceBatch:
        """Sample `size` sequences from the first nine tenths of the file; `share` has no effect.

        Raises:
            DataError: the file cannot be read, or is too short.
        """
        del share
        return self._from(self.content[: self._train_bytes], size, rng)

    def draw_test(self, size: int, rng: np.random.Generator) -> SequenceBatch:
        """Sample `size` sequences from the last tenth of the file.

        Raises:
            DataError: the file cannot be read, or is too short.
        """
        return self._from(self.content[self._train_bytes :], size, rng)

    @cached_property
    def content(self) -> NDArray[np.uint8]:
        """The bytes of the file.

        Raises:
            DataError: the file cannot be read, or is too short.
        """
        file = self.file or Path(pydoc_data.__path__[0]) / "topics.py"
        try:
            content = np.frombuffer(file.read_bytes(), np.uint8)
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror}; set data.file to a text file") from error
        least = (self.length + 1) * TEST_SHARE
        if len(content) < least:
            raise DataError(
                f"{file} has {len(content):,} bytes: expected {least:,} or more for sequences of "
                f"{self.length}; make data.length smaller"
            )
        return content

    @property
    def _train_bytes(self) -> int:
        return len(self.content) - len(self.content) // TEST_SHARE

    def _from(self, content: NDArray[np.uint8], size: int, rng: np.random.Generator) -> SequenceBatch:
        begin = rng.integers(0, len(content) - self.length, size)
        pieces = content[begin + np.arange(self.length + 1)[:, None]].astype(np.int64)
        lengths = np.full(size, self.length, np.int64)
        return SequenceBatch(one_hot(pieces[:-1], BYTES), pieces[1:, :, None], lengths, pieces[:-1])
