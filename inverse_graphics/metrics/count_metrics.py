"""How right counts are, and whether their probabilities mean what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def count_confusion(true: Counts, inferred: Counts) -> list[list[int]]:
    """Numbers of images: rows are true counts from 0, columns inferred ones; square."""
    size = int(max(true.max(initial=0), inferred.max(initial=0))) + 1
    matrix = np.zeros((size, size), np.int64)
    np.add.at(matrix, (true, inferred), 1)
    return matrix.tolist()


class Bin(NamedTuple):
    """Answers of about the same confidence: its mean, the share of right ones, and how many there are."""

    confidence: float
    right: float
    number: int


class Calibration(NamedTuple):
    """Whether confidence is earned.

    error: mean absolute difference of confidence and share of right answers over bins, weighted by number.
    log_score: mean log-probability of the true count, nats; 0 at best.  bins: by rising confidence.
    """

    error: float
    log_score: float
    bins: list[Bin]


def count_calibration(probabilities: NDArray[np.floating], true: Counts, bins: int = 10) -> Calibration:
    """Compare the probabilities of counts (M, N + 1) with the true counts (M,), which are at most N.

    Answers are ranked by confidence, the probability of the most probable count, and cut into bins of as
    many. Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", with bins of equal numbers, as
    nearly all answers are certain.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == true
    order = np.argsort(confidence, kind="stable")
    parts = [
        Bin(float(confidence[part].mean()), float(right[part].mean()), len(part))
        for part in np.array_split(order, bins)
        if len(part)
    ]
    error = sum(part.number * abs(part.confidence - part.right) for part in parts) / max(len(true), 1)
    given = np.take_along_axis(probabilities, true[:, None], axis=1)[:, 0].astype(np.float64)
    return Calibration(error, float(np.log(given.clip(1e-12)).mean()), parts)
