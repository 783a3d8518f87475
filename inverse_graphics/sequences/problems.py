"""The union of all sequence problems, for recipes; training and test batches by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

import numpy as np
from pydantic import Field

from inverse_graphics.sequences.sequence_batch import PROBLEMS, Problem, SequenceBatch

if TYPE_CHECKING:
    SequenceProblem = Problem
else:
    SequenceProblem = Annotated[Union[tuple(PROBLEMS.values())], Field(discriminator="kind")]  # noqa: UP007

_TRAIN, _TEST = 0, 1


def training_batch(
    problem: Problem, size: int, seed: int, index: int, curriculum_steps: int = 0
) -> SequenceBatch:
    """Sample training batch `index` of a stream, which depends on the arguments alone.

    Args:
        problem: samples the sequences.
        size: sequences in the batch.
        seed: of the stream.
        index: of the batch, from 0.
        curriculum_steps: batches over which the largest difficulty grows from the smallest to the full one; 0
            for no curriculum.
    """
    share = min(1.0, (index + 1) / curriculum_steps) if curriculum_steps else 1.0
    return problem.draw(size, np.random.default_rng((seed, _TRAIN, index)), share)


def evaluation_batch(problem: Problem, size: int, seed: int) -> SequenceBatch:
    """Sample the test sequences of a stream, which no training batch contains.

    Args:
        problem: samples the sequences, of full difficulty.
        size: sequences in the batch.
        seed: of the stream.
    """
    return problem.draw_test(size, np.random.default_rng((seed, _TEST)))
