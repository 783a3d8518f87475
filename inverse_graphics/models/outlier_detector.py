"""Detection of images that are unlike the training images.

Two log-likelihoods are compared with thresholds that nearly all calibration images pass: that of the image's
pixels given the inferred objects, with one threshold per number of objects; and that of each object's
summary, under a mixture of Gaussians fitted to the summaries of objects in training images.
"""

from __future__ import annotations

from itertools import takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

COMPONENTS = 12
MINIMUM_VARIANCE = 1e-3
"""Added to every variance, so that no component collapses to a few objects."""

MIN_COUNT = 100
"""A count with fewer calibration images than this is an outlier itself."""

Vector = tuple[FiniteFloat, ...]


class ParsedImages(NamedTuple):
    """The statistics of M parsed images.

    Attributes:
        counts: (M,) integer.
        log_likelihoods: (M,), nats.
        summaries: (M, N, D), valid for the first `counts` objects.
    """

    counts: NDArray[np.integer]
    log_likelihoods: NDArray[np.floating]
    summaries: NDArray[np.floating]

    def object_summaries(self) -> NDArray[np.floating]:
        """The summaries of all objects, concatenated: (objects, D)."""
        return self.summaries[np.arange(self.summaries.shape[1]) < self.counts[:, None]]


class SummaryComponent(BaseModel):
    """One Gaussian of the mixture.

    Attributes:
        log_weight: log of the weight and the normalising constant.
        mean: (D,).
        precision: (D, D) by rows, a factor P such that ‖(z − mean) P‖² is the squared Mahalanobis distance of
            z.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_weight: FiniteFloat
    mean: Vector = Field(max_length=64)
    precision: tuple[Vector, ...] = Field(max_length=64)


class OutlierDetector(BaseModel):
    """Thresholds and mixture, stored in a model's document.

    Attributes:
        fewest: the smallest count with its own threshold.
        log_likelihood: thresholds, nats, by count from `fewest`; smaller counts use the first.
        summary_log_density: threshold for the summary of the least probable object, nats.
        components: of the mixture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fewest: int = Field(default=1, ge=0, le=64)
    log_likelihood: Vector = Field(min_length=1, max_length=64)
    summary_log_density: FiniteFloat
    components: tuple[SummaryComponent, ...] = Field(min_length=1, max_length=256)

    @classmethod
    def fit(
        cls, known: ParsedImages, calibration: ParsedImages, false_positive_rate: float, fewest: int = 1
    ) -> OutlierDetector | None:
        """Fit the mixture to training images, and the thresholds to calibration images.

        Args:
            known: training images.
            calibration: other images of the same distribution.
            false_positive_rate: the share of such images that may fall below either threshold; a sixth of it
                is allotted to the pixels' likelihood, which detects coarse differences, and the rest to the
                summaries'.
            fewest: the smallest count with its own threshold.

        Returns:
            None if no count was inferred often enough.
        """
        each_count = (calibration.counts == n for n in range(fewest, int(calibration.counts.max()) + 1))
        counted = list(takewhile(lambda chosen: chosen.sum() >= MIN_COUNT, each_count))
        if not counted or len(known.object_summaries()) < MIN_COUNT:
            return None
        components = _fit_mixture(known.object_summaries())
        unthresholded = cls(log_likelihood=(0.0,), summary_log_density=0.0, components=components)
        rarest = unthresholded.rarest_log_density(calibration.counts, calibration.summaries)
        return cls(
            fewest=fewest,
            log_likelihood=tuple(
                float(np.quantile(calibration.log_likelihoods[chosen], false_positive_rate / 6))
                for chosen in counted
            ),
            summary_log_density=float(np.quantile(rarest, false_positive_rate * 5 / 6)),
            components=components,
        )

    def rarest_log_density(
        self, counts: NDArray[np.integer], summaries: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Log density of each image's least probable object, +∞ without objects: (M,), nats."""
        distances = []
        for component in self.components:
            scaled = (summaries - np.asarray(component.mean)) @ np.asarray(component.precision)
            distances.append(component.log_weight - 0.5 * np.square(scaled).sum(-1))
        log_density = np.logaddexp.reduce(distances)
        present = np.arange(summaries.shape[1]) < counts[:, None]
        return np.where(present, log_density, np.inf).min(axis=1, initial=np.inf)

    def warnings(self, parsed: ParsedImages) -> list[str | None]:
        """One sentence for each image that is an outlier, None for the others: M entries."""
        rarest = self.rarest_log_density(parsed.counts, parsed.summaries)
        figures = zip(parsed.counts.tolist(), parsed.log_likelihoods.tolist(), rarest.tolist(), strict=True)
        return [self._warning(*each) for each in figures]

    def _warning(self, count: int, log_likelihood: float, log_density: float) -> str | None:
        most = self.fewest + len(self.log_likelihood) - 1
        if count > most:
            return f"unlike the training images: they contain at most {most} objects"
        threshold = self.log_likelihood[max(count, self.fewest) - self.fewest]
        if not log_likelihood >= threshold:
            return (
                f"unlike the training images: log-likelihood {log_likelihood:.1f}, "
                f"below the threshold {threshold:.1f} for {count} objects"
            )
        if not log_density >= self.summary_log_density:
            return (
                f"unlike the training images: an object's summary has log-likelihood {log_density:.1f}, "
                f"below the threshold {self.summary_log_density:.1f}"
            )
        return None


def _fit_mixture(summaries: NDArray[np.floating]) -> tuple[SummaryComponent, ...]:
    from sklearn.mixture import GaussianMixture

    centre, spread = summaries.mean(0), summaries.std(0) + 1e-6
    mixture = GaussianMixture(COMPONENTS, reg_covar=MINIMUM_VARIANCE, max_iter=300, random_state=0)
    mixture.fit((summaries - centre) / spread)
    constant = -0.5 * summaries.shape[1] * np.log(2 * np.pi) - np.log(spread).sum()
    return tuple(
        SummaryComponent(
            log_weight=float(np.log(weight) + np.log(np.diag(precision)).sum() + constant),
            mean=tuple((mean * spread + centre).tolist()),
            precision=tuple(tuple(row) for row in (precision / spread[:, None]).tolist()),
        )
        for weight, mean, precision in zip(
            mixture.weights_, mixture.means_, mixture.precisions_cholesky_, strict=True
        )
    )
