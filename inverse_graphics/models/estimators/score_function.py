"""The score function estimator of the AIR paper, with a sampled count, and its neural baseline.

    ∇ E[f_n] = E[ ∇ f_n + Σ_i ∇ log q(presence_i) · (f_n − b_i) ]

f_n = log p(x, z_1..z_n, n) − log q is the reward of the sampled count; b_i is a baseline, predicted from the
image and the latents before step i. It does not depend on presence_i, and so leaves the mean unchanged.
Source: Eslami et al. 2016, section 2.3; Mnih and Gregor 2014, "Neural Variational Inference and Learning".
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from inverse_graphics.distributions.draws import draw_categories
from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import AirModel, Inference, attend_infer_repeat
from inverse_graphics.models.air2d.network import WHERE, Air2D
from inverse_graphics.models.elbo import exact_count_elbo, prefix_bounds
from inverse_graphics.models.estimators.estimator import (
    ESTIMATORS,
    Estimate,
    Estimator,
    EstimatorSettings,
    mixed_weights,
)


@ESTIMATORS.register("score_function")
class ScoreFunctionSettings(EstimatorSettings):
    """The sampled count, trained by the score function, as in the AIR paper.

    Attributes:
        baseline_hidden: units of the neural baseline; 0 for none.
        baseline_rate: its learning rate, as a multiple of the model's.
    """

    kind: Literal["score_function"]
    baseline_hidden: int = Field(256, ge=0, le=4096)
    baseline_rate: float = Field(10.0, gt=0, le=1000)

    def estimator(self, model: Air2D) -> Estimator:
        """Make the estimator, with a new baseline."""
        baseline: NeuralBaseline | None = None
        if self.baseline_hidden:
            latents = WHERE + model.settings.what
            baseline = NeuralBaseline(model.settings.image_size**2, latents, self.baseline_hidden)
        return ScoreFunction(model, baseline)

    @property
    def helpers_rate(self) -> float:
        """The learning rate of the baseline, as a multiple of the model's."""
        return self.baseline_rate


class Baseline(Protocol):
    """Predicts the reward of each step before its presence is sampled."""

    def __call__(self, images: Tensor, inference: Inference) -> Tensor:
        """Predict rewards: (B, N), nats; that of step i from the image and the latents of earlier steps."""


class ScoreFunction:
    """An `Estimator`: one sampled count per image.  Unbiased.

    Args:
        model: the model.
        baseline: reduces the variance; None for none.
    """

    def __init__(self, model: AirModel, baseline: nn.Module | None) -> None:
        self.model = model
        self.helpers = baseline

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Compute one estimate; the baseline is trained by the same objective."""
        inference = attend_infer_repeat(self.model, images, Reparameterised(generator))
        bounds, count = prefix_bounds(inference), sample_counts(inference.log_count, generator)
        one_hot = torch.nn.functional.one_hot(count, bounds.shape[-1]).to(bounds)
        objects = (mixed_weights(one_hot, warm_up_fraction) * bounds).sum(-1)
        rewards = bounds.detach() - inference.log_count.detach() + log_count_prior
        reward = (one_hot * rewards).sum(-1, keepdim=True)
        predicted = self._predicted(images, inference)
        presence = (log_presences(inference, count) * (reward - predicted.detach())).sum(-1)
        with torch.no_grad():
            bound = exact_count_elbo(inference, log_count_prior)
        return Estimate(objects + presence - _squared_error(predicted, reward, count), bound)

    def _predicted(self, images: Tensor, inference: Inference) -> Tensor:
        if self.helpers is None:
            return torch.zeros_like(inference.kl)
        predicted: Tensor = self.helpers(images, inference)
        return predicted


def sample_counts(log_count: Tensor, generator: torch.Generator) -> Tensor:
    """Sample one count for each row: (B,) int64.

    Args:
        log_count: (B, N + 1).
    """
    return draw_categories(log_count.detach().exp(), 1, generator)[:, 0]


def log_presences(inference: Inference, count: Tensor) -> Tensor:
    """log q(presence_i) of the presences of a count: (B, N); 0 after the first absence.

    Args:
        inference: of B images.
        count: (B,).  The sum over i is log w_n.
    """
    log_alive = torch.cat([torch.zeros_like(inference.log_present[:, :1]), inference.log_present], -1)
    present = log_alive[:, 1:] - log_alive[:, :-1]
    absent = inference.log_count[:, :-1] - log_alive[:, :-1]
    step = torch.arange(present.shape[-1], device=count.device)
    chosen = torch.where(step < count[:, None], present, absent)
    return torch.where(step <= count[:, None], chosen, torch.zeros_like(chosen))


REWARD_SCALE = 100.0
"""Unit of the baseline's error, nats: about the log-likelihood that one object contributes."""


def _squared_error(predicted: Tensor, reward: Tensor, count: Tensor) -> Tensor:
    """The sum of squared errors over the steps that were run: (B,)."""
    run = torch.arange(predicted.shape[-1], device=count.device) <= count[:, None]
    return (((predicted - reward) / REWARD_SCALE).square() * run).sum(-1)


class NeuralBaseline(nn.Module):
    """A recurrent network that predicts rewards; a `Baseline`.

    Args:
        pixels: values in an image.
        latents: values in an object's latents.
        hidden: units. Source: Eslami et al. 2016, section 2.3; Mnih and Gregor 2014.
    """

    def __init__(self, pixels: int, latents: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(pixels, hidden)
        self.state_update = nn.LSTMCell(hidden + latents, hidden)
        self.predict = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.latents = latents

    def forward(self, images: Tensor, inference: Inference) -> Tensor:
        """Predict the reward before each step: (B, N), nats.  No gradient flows to the latents."""
        features = torch.relu(self.encoder(images.flatten(1)))
        before = images.new_zeros(len(images), self.latents)
        state, predictions = None, []
        for step in inference.objects:
            state = self.state_update(torch.cat([features, before], -1), state)
            predictions.append(REWARD_SCALE * self.predict(state[0])[:, 0])
            before = torch.cat([step.latents.where, step.latents.what], -1).detach()
        return torch.stack(predictions, dim=-1)
