"""Observation models: densities that integrate to one, samples that follow them, slopes, and other laws."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy import integrate, stats
from torch.autograd import gradcheck

from inverse_graphics.observation import AnyNoise
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.model import NOISES, ChannelsLast, Tempered
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.observation.outliers import OutlierModel
from inverse_graphics.observation.student_t import StudentTModel


class Mixture(NamedTuple):
    """What scipy knows of N(0, σ²) with outliers, in one dimension."""

    sigma: float
    share: float

    def _mixed(self, name, value):
        own, other = (getattr(one, name) for one in (stats.norm(0, self.sigma), stats.uniform(-1, 2)))
        return (1 - self.share) * own(value) + self.share * other(value)

    def logpdf(self, value):
        return np.log(self._mixed("pdf", value))

    def cdf(self, value):
        return self._mixed("cdf", value)

    def std(self):
        return math.sqrt((1 - self.share) * self.sigma**2 + self.share / 3)


REFERENCES = {
    GaussianModel(0.3): stats.norm(0, 0.3),
    StudentTModel(0.2, 3.0): stats.t(3.0, scale=0.2),
    StudentTModel(0.1, 30.0): stats.t(30.0, scale=0.1),
    OutlierModel(0.1, 0.2): Mixture(0.1, 0.2),
    OutlierModel(0.3, 0.01): Mixture(0.3, 0.01),
}
"""Of one channel."""
MODELS, PAIRS = list(REFERENCES), list(REFERENCES.items())
each_model = pytest.mark.parametrize("model", MODELS, ids=repr)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def pictures(*shape, seed=0):
    return torch.rand(*shape, generator=seeded(seed), dtype=torch.float64)


def of_value(model, value, rendered=0.4):
    """log p of images of one channel and one pixel, of these values: as many."""
    values = torch.as_tensor(value, dtype=torch.float64).reshape(-1, 1, 1, 1)
    return model.log_prob(Observation(values), Rendered(torch.full((1, 1, 1), rendered).double()))


@each_model
def test_a_pixels_density_integrates_to_one(model):
    def density(value):
        return float(of_value(model, value).exp())

    edges = (-np.inf, -2.0, -0.6, 0.4, 1.4, 3.0, np.inf)  # the render is 0.4, and outliers end at 1 from it
    total = sum(integrate.quad(density, a, b, epsabs=1e-11, limit=200)[0] for a, b in pairwise(edges))
    assert total == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize(("model", "reference"), PAIRS)
def test_log_prob_sums_the_pixels_own(model, reference):
    image, renders = pictures(3, 1, 1, 4, 5), pictures(3, 6, 1, 4, 5, seed=1)
    found = model.log_prob(Observation(image), Rendered(renders))
    expected = reference.logpdf((image - renders).numpy()).sum((-1, -2, -3))
    assert found.shape == (3, 6)
    torch.testing.assert_close(found, torch.from_numpy(expected))


@pytest.mark.parametrize(("model", "reference"), PAIRS)
def test_samples_follow_the_density(model, reference):
    render = Rendered(pictures(100, 3, 20, 20))
    noise = (model.sample(render, seeded(1)).rgb - render.rgb)[:, 1].flatten().numpy()
    assert stats.kstest(noise, reference.cdf).pvalue > 0.001
    wrong = stats.norm(0, 1.05 * reference.std())
    assert stats.kstest(noise, wrong.cdf).pvalue < 1e-6


@each_model
def test_noise_of_pixels_is_independent(model):
    noise = model.noise(torch.zeros(4000, 3, 1, 2, dtype=torch.float64), seeded(2)).flatten(1).numpy()
    ranks = stats.spearmanr(noise).statistic
    assert np.abs(ranks - np.eye(6)).max() < 5 / np.sqrt(4000)


@each_model
def test_entropy_is_minus_the_mean_log_probability_of_samples(model):
    render = Rendered(pictures(1, 3, 8, 8).expand(4000, 3, 8, 8))
    observation = model.sample(render, seeded(3))
    log_prob = model.log_prob(observation, render)
    error = 5 * float(log_prob.std()) / len(log_prob) ** 0.5
    assert model.entropy(observation) == pytest.approx(-float(log_prob.mean()), abs=error)


@each_model
def test_the_loss_is_the_fall_of_log_probability(model):
    image, render = pictures(2, 3, 4, 4), pictures(2, 3, 4, 4, seed=1)
    fall = model.log_prob(Observation(image), Rendered(image)) - model.log_prob(
        Observation(image), Rendered(render)
    )
    torch.testing.assert_close(model.loss(image - render) / (2 * model.sigma**2), fall)


@each_model
def test_slopes_are_those_of_differences(model):
    observation, render = Observation(pictures(2, 1, 3, 4, 4)), pictures(2, 2, 3, 4, 4, seed=1)
    assert gradcheck(lambda drawn: model.log_prob(observation, Rendered(drawn)), (render.requires_grad_(),))


def test_a_pixel_is_an_outlier_with_all_its_channels():
    model, error = OutlierModel(0.1, 0.2), pictures(50, 3, 4, 5) - 0.5
    normal = stats.norm(0, 0.1).pdf(error.numpy()).prod(1)
    expected = np.log(0.8 * normal + 0.2 * 0.5**3).sum((1, 2))
    found = model.log_prob(Observation(error), Rendered(torch.zeros(1, 3, 4, 5).double()))
    np.testing.assert_allclose(found.numpy(), expected)
    noise = model.noise(torch.zeros(1, 3, 100, 100, dtype=torch.float64), seeded(5))
    far = (noise.abs() > 0.45)[0]  # 4.5 σ: of outliers, 0.55 of each channel
    assert float(far.all(0).double().mean()) == pytest.approx(0.2 * 0.55**3, rel=0.2)


@pytest.mark.parametrize("robust", [StudentTModel(0.05, 2.0), OutlierModel(0.05, 0.05)])
def test_heavy_tails_forgive_a_pixel_that_nothing_explains(robust):
    """What a wrong pixel pulls with falls as it gets worse; under Gaussian noise it grows."""
    pulls = []
    for model in (GaussianModel(0.05), robust):
        values = torch.tensor([0.5, 0.9], dtype=torch.float64, requires_grad=True)
        (slopes,) = torch.autograd.grad(of_value(model, values).sum(), values)
        pulls.append(slopes.abs().tolist())
    (near, far), (robust_near, robust_far) = pulls
    assert far > near
    assert robust_far < robust_near < near


def test_a_tempered_likelihood_is_divided_by_its_temperature():
    observation, render = Observation(pictures(4, 1, 3, 2, 2)), Rendered(pictures(4, 5, 3, 2, 2, seed=1))
    temperature = torch.tensor([1.0, 2, 5, 100]).double()[:, None]
    found = Tempered(MODELS[0], temperature).log_prob(observation, render)
    torch.testing.assert_close(found, MODELS[0].log_prob(observation, render) / temperature)


@pytest.mark.parametrize("seed", [0, 7])
def test_numbers_go_to_images_channel_by_channel_or_pixel_by_pixel(seed):
    render = Rendered(torch.zeros(2, 3, 4, 5))
    first = GaussianModel(1.0).sample(render, seeded(seed)).rgb
    assert torch.equal(first, torch.randn(2, 3, 4, 5, generator=seeded(seed)))
    last = GaussianModel(1.0).sample(render, ChannelsLast(seeded(seed))).rgb
    assert torch.equal(last.permute(0, 2, 3, 1), torch.randn(2, 4, 5, 3, generator=seeded(seed)))
    of_numpy = ChannelsLast(np.random.default_rng(seed))
    expected = np.random.default_rng(seed).standard_normal((2, 4, 5, 3), np.float32)
    noise = GaussianModel(1.0).sample(render, of_numpy).rgb.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(noise, expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "gaussian"}, GaussianModel(0.1)),
        ({"kind": "student_t", "degrees_of_freedom": 3}, StudentTModel(0.1, 3.0)),
        ({"kind": "outliers", "share": 0.2}, OutlierModel(0.1, 0.2)),
    ],
)
def test_recipes_choose_a_kind_of_noise(settings, expected):
    assert TypeAdapter(AnyNoise).validate_python(settings).model(0.1) == expected


def test_every_kind_of_noise_is_tested_here():
    assert {type(settings.model_validate({}).model(0.1)) for settings in NOISES.values()} == {
        type(model) for model in MODELS
    }


@pytest.mark.parametrize(
    "settings",
    [{"kind": "laplace"}, {"kind": "student_t", "degrees_of_freedom": 0}, {"kind": "gaussian", "a": 1}],
)
def test_what_is_no_kind_of_noise_is_refused(settings):
    with pytest.raises(ValidationError):
        TypeAdapter(AnyNoise).validate_python(settings)
