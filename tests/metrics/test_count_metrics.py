"""Counts: confusion against a loop over images, calibration against answers made to a known recipe."""

import numpy as np
import pytest

from inverse_graphics.metrics.count_metrics import count_calibration, count_confusion


def test_confusion_is_that_of_a_loop_over_images():
    numbers = np.random.default_rng(0)
    true, inferred = numbers.integers(0, 3, 500), numbers.integers(0, 5, 500)
    matrix = count_confusion(true, inferred)
    expected = [[0] * 5 for _ in range(5)]
    for row, column in zip(true.tolist(), inferred.tolist(), strict=True):
        expected[row][column] += 1
    assert matrix == expected
    assert count_confusion(np.array([], int), np.array([], int)) == [[0]]


def random_probabilities(images, counts, seed):
    return np.random.default_rng(seed).dirichlet([0.4] * counts, images)


def drawn(probabilities, seed):
    """True counts that the probabilities tell the truth about."""
    u = np.random.default_rng(seed).random((len(probabilities), 1))
    return (probabilities.cumsum(1) < u).sum(1)


def test_probabilities_that_report_the_truth_are_calibrated_and_others_are_not():
    probabilities = random_probabilities(200_000, 4, 0)
    true = drawn(probabilities, 1)
    assert count_calibration(probabilities, true).error < 0.005
    bolder = probabilities**4 / (probabilities**4).sum(1, keepdims=True)
    assert count_calibration(bolder, true).error > 0.1


def test_truth_has_the_best_log_score_that_there_is():
    """Its expectation is the negative mean entropy, and any other probabilities have a lower one."""
    probabilities = random_probabilities(100_000, 3, 2)
    true = drawn(probabilities, 3)
    score = count_calibration(probabilities, true).log_score
    entropy = -(probabilities * np.log(probabilities.clip(1e-300))).sum(1).mean()
    assert score == pytest.approx(-entropy, abs=0.01)
    tempered = np.sqrt(probabilities) / np.sqrt(probabilities).sum(1, keepdims=True)
    assert count_calibration(tempered, true).log_score < score - 0.01


@pytest.mark.parametrize("images", [1, 7, 10, 103])
def test_bins_hold_every_image_once_by_rising_confidence(images):
    probabilities = random_probabilities(images, 3, images)
    true = np.random.default_rng(5).integers(0, 3, images)
    calibration = count_calibration(probabilities, true)
    assert sum(part.number for part in calibration.bins) == images
    confidences = [part.confidence for part in calibration.bins]
    assert confidences == sorted(confidences)
    right = sum(part.right * part.number for part in calibration.bins) / images
    assert right == pytest.approx((probabilities.argmax(1) == true).mean())
    assert max(part.number for part in calibration.bins) - min(part.number for part in calibration.bins) <= 1


def test_certain_answers():
    certain = np.eye(3)[[0, 1, 2, 2]]
    right = count_calibration(certain, np.array([0, 1, 2, 2]))
    assert (right.error, right.log_score) == (0, 0)
    wrong = count_calibration(certain, np.array([0, 1, 2, 1]))
    assert wrong.error == pytest.approx(0.25)
    assert wrong.log_score == pytest.approx(np.log(1e-12) / 4)
