"""Accuracy of counts, and calibration of their probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def count_confusion(true: Counts, inferred: Counts) -> list[list[int]]:
    """Compute a square confusion matrix: numbers of images by true (row) and inferred (column) count."""
    size = int(max(true.max(initial=0), inferred.max(initial=0))) + 1
    matrix = np.zeros((size, size), np.int64)
    np.add.at(matrix, (true, inferred), 1)
    return matrix.tolist()


class Bin(NamedTuple):
    """Predictions of similar confidence: its mean, the share that is right, and the number of predictions."""

    confidence: float
    right: float
    number: int


class Calibration(NamedTuple):
    """Calibration of count probabilities.

    Attributes:
        error: mean absolute difference of confidence and accuracy over bins, weighted by number.
        log_score: mean log-probability of the true count, nats; at most 0.
        bins: by increasing confidence.
    """

    error: float
    log_score: float
    bins: list[Bin]


def count_calibration(probabilities: NDArray[np.floating], true: Counts, bins: int = 10) -> Calibration:
    """Measure the calibration of predicted counts.

    Predictions are sorted by confidence, the probability of the most probable count, and split into bins of
    equal numbers, as nearly all are certain. Source: Guo et al. 2017, "On Calibration of Modern Neural
    Networks".


    Args:
        probabilities: (M, N + 1), the predicted probabilities of the counts 0 … N.
        true: (M,), the true counts, at most N.
        bins: number of bins.
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
