"""The false positive rate holds on in-distribution images, and the mixture is a density."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from inverse_graphics.models.outlier_detector import OutlierDetector, ParsedImages, SummaryComponent


def in_distribution(seed, images=4000, shift=0.0):
    """Two objects at most, whose summaries (3 numbers) are correlated and lie in two clusters."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, images)
    mixing = np.array([[1.0, 0.4, 0.0], [0.0, 0.5, 0.2], [0.0, 0.0, 2.0]])
    cluster = np.where(rng.random((images, 4, 1)) < 0.3, 6.0, 0.0)
    summaries = rng.normal(size=(images, 4, 3)) @ mixing + cluster + shift
    return ParsedImages(counts, 700.0 - 40 * counts + rng.normal(size=images) * 10, summaries)


@pytest.fixture(scope="module")
def fitted() -> OutlierDetector:
    detector = OutlierDetector.fit(in_distribution(0), in_distribution(1), false_positive_rate=0.02)
    assert detector is not None
    return detector


def share_warned(detector, parsed):
    return np.mean([warning is not None for warning in detector.warnings(parsed)])


def test_about_the_promised_share_of_other_in_distribution_images_is_reported(fitted):
    assert 0.008 < share_warned(fitted, in_distribution(2, images=20_000)) < 0.03


def test_strange_objects_and_badly_explained_images_are_reported(fitted):
    strange = in_distribution(3, shift=-12.0)
    with_objects = strange.counts > 0
    warned = np.array([w is not None for w in fitted.warnings(strange)])
    assert warned[with_objects].all()
    assert not warned[~with_objects].any()
    known = in_distribution(4)
    dim = known._replace(log_likelihoods=known.log_likelihoods - 200)
    assert share_warned(fitted, dim) == 1


def test_more_objects_than_ever_seen_are_reported_and_so_is_nan(fitted):
    parsed = in_distribution(5, images=3)
    assert share_warned(fitted, parsed._replace(counts=np.full(3, 3))) == 1
    assert share_warned(fitted, parsed._replace(log_likelihoods=np.full(3, np.nan))) == 1


def test_an_empty_image_is_evaluated_by_the_threshold_of_one_object(fitted):
    one = ParsedImages(np.zeros(2, int), fitted.log_likelihood[0] + np.array([1, -1]), np.zeros((2, 4, 3)))
    assert [w is None for w in fitted.warnings(one)] == [True, False]


def test_counts_have_thresholds_from_the_fewest_on():
    parsed = in_distribution(1)
    fitted = OutlierDetector.fit(in_distribution(0), parsed, false_positive_rate=0.02, fewest=0)
    assert fitted is not None
    for count, threshold in enumerate(fitted.log_likelihood):
        share = (parsed.log_likelihoods[parsed.counts == count] < threshold).mean()
        assert share == pytest.approx(0.02 / 6, abs=0.001)
    nothing = ParsedImages(
        np.zeros(2, int), fitted.log_likelihood[0] + np.array([1, -1]), np.zeros((2, 4, 3))
    )
    assert [w is None for w in fitted.warnings(nothing)] == [True, False]


def test_a_component_is_the_normal_density():
    rng = np.random.default_rng(6)
    factor, mean = rng.normal(size=(3, 3)), rng.normal(size=3)
    precision = factor @ factor.T
    constant = -1.5 * np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(precision)[1]
    detector = OutlierDetector(
        log_likelihood=(0.0,),
        summary_log_density=0.0,
        components=(
            SummaryComponent(
                log_weight=float(constant),
                mean=tuple(mean),
                precision=tuple(map(tuple, factor)),
            ),
        ),
    )
    points = rng.normal(size=(50, 1, 3))
    expected = multivariate_normal(mean, np.linalg.inv(precision)).logpdf(points[:, 0])
    assert detector.rarest_log_density(np.ones(50, int), points) == pytest.approx(expected)


def test_the_fitted_mixture_is_a_density(fitted):
    """Importance sampling from a wide Gaussian: the density integrates to one."""
    rng = np.random.default_rng(7)
    centre, spread = np.full(3, 2.0), np.array([6.0, 6.0, 8.0])
    points = centre + spread * rng.normal(size=(200_000, 3))
    proposal = multivariate_normal(centre, np.diag(spread**2)).logpdf(points)
    density = fitted.rarest_log_density(np.ones(len(points), int), points[:, None])
    assert np.exp(density - proposal).mean() == pytest.approx(1, abs=0.05)


def test_too_little_seen_gives_no_verdict():
    few = in_distribution(8, images=60)
    assert OutlierDetector.fit(few, few, false_positive_rate=0.01) is None
    nothing = in_distribution(9)._replace(counts=np.zeros(4000, int))
    assert OutlierDetector.fit(nothing, nothing, false_positive_rate=0.01) is None


def test_it_survives_its_document(fitted):
    assert OutlierDetector.model_validate_json(fitted.model_dump_json()) == fitted
