"""What is measured of a network that thinks, once it is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.halting import Accumulated, Discrete, Halting, Thresholded, log_weights
from inverse_graphics.models.adaptive.sequence_exam import SequenceExam, examine
from inverse_graphics.models.adaptive.sequence_network import SequenceNetwork, Sequences
from inverse_graphics.sequences.sequence_batch import SequenceBatch

OTHER_WAYS: dict[str, Halting] = {
    "accumulated": Accumulated(),
    "thresholded": Thresholded(),
    "discrete": Discrete(),
}
"""How every network is judged besides, whatever it was trained by."""
FEWEST = 20
"""Inputs of a difficulty below which nothing is said of it."""


def thinking_figures(
    network: SequenceNetwork, batch: SequenceBatch, halting: Halting, seed: int
) -> dict[str, Any]:
    """All of them, as JSON holds them.

    metrics: in the way that it is meant to be used.  by_halting: in other ways.  by_difficulty: difficulty,
    inputs, wrong (of those that are asked about) and steps.  halts: share of each step, from the first, by
    difficulty.
    """
    exam = examine(network, batch, halting)
    return {
        "metrics": exam.metrics(),
        "by_halting": {
            name: examine(network, batch, way, torch.Generator().manual_seed(seed)).metrics()
            for name, way in OTHER_WAYS.items()
        },
        "by_difficulty": by_difficulty(exam),
        "halts": halting_by_difficulty(network, batch, halting),
    }


def by_difficulty(exam: SequenceExam) -> list[dict[str, float]]:
    """How wrong and how slow it is, for each difficulty of an input."""
    found = []
    for level in _levels(exam.difficulty):
        here = exam.difficulty == level
        asked = here & exam.asked
        found.append(
            {
                "difficulty": level,
                "inputs": int(here.sum()),
                "wrong": float(exam.wrong[asked].mean()) if asked.any() else 0.0,
                "steps": float(exam.steps[here].mean()),
            }
        )
    return found


@torch.no_grad()
def halting_by_difficulty(
    network: SequenceNetwork, batch: SequenceBatch, halting: Halting
) -> list[dict[str, Any]]:
    """With which mean weight each step is the last, for each difficulty of an input."""
    sequences = Sequences.of(batch)
    answers = network(sequences.inputs, halting)
    weights = [log_weights(pondering).exp() for pondering in answers.ponderings]
    longest = max(len(weight) for weight in weights)
    padded = torch.cat([torch.nn.functional.pad(w, (0, 0, 0, longest - len(w))) for w in weights], dim=1)
    difficulty = sequences.difficulty.numpy()
    shares: NDArray[np.float64] = padded.double().numpy()
    return [
        {"difficulty": level, "shares": shares[:, difficulty == level].mean(1).tolist()}
        for level in _levels(difficulty)
    ]


def _levels(difficulty: NDArray[np.int64]) -> list[int]:
    levels, counts = np.unique(difficulty, return_counts=True)
    return [int(level) for level, count in zip(levels, counts, strict=True) if count >= FEWEST]
