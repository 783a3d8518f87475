"""All problems over sequences, as a recipe names them; and the streams that they are drawn from."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from inverse_graphics.sequences.bits import Logic, Parity
from inverse_graphics.sequences.numbers import Addition, Sort
from inverse_graphics.sequences.sequence_batch import Problem, SequenceBatch
from inverse_graphics.sequences.text import Text

SequenceProblem = Annotated[Parity | Logic | Addition | Sort | Text, Field(discriminator="kind")]

_LEARNT, _HELD_OUT = 0, 1


def learnt_batch(
    problem: Problem, size: int, seed: int, index: int, curriculum_steps: int = 0
) -> SequenceBatch:
    """Batch `index` of stream `seed`; it depends on nothing else.

    curriculum_steps: over so many batches the hardest become harder, from the easiest there are.
    """
    share = min(1.0, (index + 1) / curriculum_steps) if curriculum_steps else 1.0
    return problem.draw(size, np.random.default_rng((seed, _LEARNT, index)), share)


def held_out_batch(problem: Problem, size: int, seed: int) -> SequenceBatch:
    """The held-out sequences of stream `seed`; no stream of batches holds them."""
    return problem.draw_held_out(size, np.random.default_rng((seed, _HELD_OUT)))
