"""Evaluation of a sequence network on test sequences: errors, losses and numbers of steps."""

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
    """Results for all M inputs, ordered by time.

    Attributes:
        wrong: (M,) bool, whether any answer after the input is wrong.
        loss: (M,), nats.
        steps: (M,).
        has_target: (M,) bool, whether the input has a target.
        difficulty: (M,) int64.
        row: (M,) int64, index of the sequence.
    """

    wrong: NDArray[np.bool_]
    loss: NDArray[np.float64]
    steps: NDArray[np.float64]
    has_target: NDArray[np.bool_]
    difficulty: NDArray[np.int64]
    row: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The share of sequences with a wrong answer, among those that have a target."""
        rows = np.unique(self.row[self.has_target])
        return len(np.unique(self.row[self.wrong])) / max(len(rows), 1)

    def metrics(self) -> dict[str, float]:
        """Error per sequence; loss and wrong answers per input with a target; steps per input."""
        targets = max(int(self.has_target.sum()), 1)
        return {
            "error": self.error,
            "wrong_inputs": float(self.wrong.sum()) / targets,
            "loss": float(self.loss.sum()) / targets,
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
    """Evaluate a network on a batch.

    Args:
        network: the network.
        batch: test sequences.
        halting: as for `ACT`.
        generator: as for `ACT`.
    """
    sequences = Sequences.from_batch(batch).to(next(network.parameters()).device)
    answers = network(sequences.inputs, halting, generator)
    has_target = sequences.targets != NO_TARGET
    wrong = ((answers.classes != sequences.targets) & has_target).any(-1)
    loss = answer_losses(answers.logits, sequences.targets)
    return SequenceScores(
        wrong.cpu().numpy(),
        loss.double().cpu().numpy(),
        answers.steps.double().cpu().numpy(),
        has_target.any(-1).cpu().numpy(),
        sequences.difficulty.cpu().numpy(),
        sequences.row.cpu().numpy(),
    )
