"""How well a network answers sequences that it never learnt from, and how long it thinks about them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.halting import Halting
from inverse_graphics.models.adaptive.sequence_network import SequenceNetwork, Sequences
from inverse_graphics.models.adaptive.sequence_objectives import answer_losses
from inverse_graphics.sequences.sequence_batch import NO_TARGET, SequenceBatch


class SequenceScores(NamedTuple):
    """What came of it, M inputs in all, time by time.

    wrong: (M,) bool, whether any answer after the input was.  loss: (M,), nats.  steps: (M,).
    asked: (M,) bool, whether an answer was asked.  difficulty, row: (M,) int64.
    """

    wrong: NDArray[np.bool_]
    loss: NDArray[np.float64]
    steps: NDArray[np.float64]
    asked: NDArray[np.bool_]
    difficulty: NDArray[np.int64]
    row: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The share of sequences with a wrong answer, of those of which anything is asked."""
        asked = np.unique(self.row[self.asked])
        return len(np.unique(self.row[self.wrong])) / max(len(asked), 1)

    def metrics(self) -> dict[str, float]:
        """error; loss and wrong answers for each input that is asked about; steps for each input."""
        asked = max(int(self.asked.sum()), 1)
        return {
            "error": self.error,
            "wrong_inputs": float(self.wrong.sum()) / asked,
            "loss": float(self.loss.sum()) / asked,
            "steps": float(self.steps.mean()),
            "most_steps": float(self.steps.max()),
        }


@torch.no_grad()
def evaluate_sequences(
    network: SequenceNetwork,
    batch: SequenceBatch,
    halting: Halting | None = None,
    generator: torch.Generator | None = None,
) -> SequenceScores:
    """Let the network answer; halting and generator as for `ACT`."""
    sequences = Sequences.from_batch(batch)
    answers = network(sequences.inputs, halting, generator)
    asked = sequences.targets != NO_TARGET
    wrong = ((answers.classes != sequences.targets) & asked).any(-1)
    loss = answer_losses(answers.logits, sequences.targets)
    return SequenceScores(
        wrong.numpy(),
        loss.double().numpy(),
        answers.steps.double().numpy(),
        asked.any(-1).numpy(),
        sequences.difficulty.numpy(),
        sequences.row.numpy(),
    )
