"""All problems over sequences as one type for recipes, and the streams of batches that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

import numpy as np
from pydantic import Field

from inverse_graphics.sequences.sequence_batch import PROBLEMS, Problem, SequenceBatch

if TYPE_CHECKING:
    SequenceProblem = Problem
else:
    SequenceProblem = Annotated[Union[tuple(PROBLEMS.values())], Field(discriminator="kind")]  # noqa: UP007

_TRAINING, _HELD_OUT = 0, 1


def training_batch(
    problem: Problem, size: int, seed: int, index: int, curriculum_steps: int = 0
) -> SequenceBatch:
    """Batch `index` of the training stream of a seed; it depends on nothing else.

    Args:
        problem: what the sequences are drawn from.
        size: sequences in the batch.
        seed: of the stream.
        index: of the batch.
        curriculum_steps: batches over which the greatest difficulty grows from the least to the greatest.
    """
    share = min(1.0, (index + 1) / curriculum_steps) if curriculum_steps else 1.0
    return problem.draw(size, np.random.default_rng((seed, _TRAINING, index)), share)


def held_out_batch(problem: Problem, size: int, seed: int) -> SequenceBatch:
    """The held-out sequences of a seed; no training stream holds them."""
    return problem.draw_held_out(size, np.random.default_rng((seed, _HELD_OUT)))
