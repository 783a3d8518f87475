"""Whether an image looks like what a model was trained on.

An image of n objects whose log-likelihood is below that of nearly all familiar images with n objects is
unlike the training data, and what the model says of it deserves doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PREFIX = "log_likelihood_of_count_"
FEWEST = 100
"""Familiar images of a count below which no threshold is set for it."""


@dataclass(frozen=True)
class Familiarity:
    """thresholds: by count, the log-likelihood (nats) below which an image is unfamiliar.

    A count without a threshold never occurred among the familiar images, so it is unfamiliar itself.
    """

    thresholds: Mapping[int, float]

    @classmethod
    def fit(
        cls, counts: NDArray[np.integer], log_likelihoods: NDArray[np.floating], flagged: float
    ) -> Familiarity:
        """Thresholds that flag a share `flagged` of familiar images.  counts, log_likelihoods: (M,)."""
        thresholds = {}
        for count in np.unique(counts).tolist():
            known = log_likelihoods[counts == count]
            if len(known) >= FEWEST:
                thresholds[count] = float(np.quantile(known, flagged))
        return cls(thresholds)

    @classmethod
    def from_document(cls, numbers: Mapping[str, float] | None) -> Familiarity | None:
        """From the numbers that a model's document keeps; None if it keeps none."""
        if numbers is None:
            return None
        named = {k.removeprefix(_PREFIX): v for k, v in numbers.items() if k.startswith(_PREFIX)}
        return cls({int(count): value for count, value in named.items() if count.isdigit()})

    def to_document(self) -> dict[str, float]:
        """The numbers that a model's document keeps."""
        return {f"{_PREFIX}{count}": value for count, value in self.thresholds.items()}

    def warning(self, count: int, log_likelihood: float) -> str | None:
        """One sentence, where an image with this count and log-likelihood is unfamiliar."""
        if count not in self.thresholds:
            return f"{count} objects were found, which no image had that this model was judged on"
        threshold = self.thresholds[count]
        if log_likelihood < threshold:
            return (
                f"unlike the training images: log-likelihood {log_likelihood:.1f} is below {threshold:.1f}, "
                f"the threshold for images with {count} objects"
            )
        return None
