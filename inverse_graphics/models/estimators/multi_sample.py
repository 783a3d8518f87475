"""Estimators with several weighted samples per image: importance-weighted bound and reweighted wake-sleep.

The importance-weighted bound, with sampled counts: L_K = E log 1/K Σ_k p(x, z_k, n_k) / q(z_k, n_k | x).
Counts are trained by the score function; the learning signal of each sample is the increase of the bound over
that of the other samples. Unbiased for L_K.
Source: Burda, Grosse and Salakhutdinov 2016, "Importance Weighted Autoencoders"; Mnih and Rezende 2016,
"Variational Inference for Monte Carlo Objectives", equations 7 to 10.

Reweighted wake-sleep: the model and the posteriors are trained on the same weighted samples.

    weights ∝ p(n) p(x | z_1..z_n) Π_{i≤n} p(z_i) / q(z_i | x, z_<i), over samples k and counts n
    the model:      Σ weights · log p(x | z_1..z_n)
    the posteriors: Σ weights · [ log q(n | x, z) + Σ_{i≤n} log q(z_i | x, z_<i) ]

Counts are enumerated. No gradient passes through a sample. Biased for few samples, as the weights are
self-normalised; the bias vanishes as their number grows.
Source: Bornschein and Bengio 2015, "Reweighted Wake-Sleep"; Le et al. 2019, "Revisiting Reweighted
Wake-Sleep".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from inverse_graphics.distributions.sampler import Posterior, Reparameterised, Sampler
from inverse_graphics.models.air import AirModel, Inference, ObjectStep, attend_infer_repeat
from inverse_graphics.models.elbo import Bound, exact_count_elbo, prefix_bounds
from inverse_graphics.models.estimators.estimator import ESTIMATORS, Estimate, Estimator, EstimatorSettings
from inverse_graphics.models.estimators.score_function import sample_counts

if TYPE_CHECKING:
    from inverse_graphics.models.air2d.network import Air2D


class MultiSampleSettings(EstimatorSettings):
    """Settings of an estimator that weighs several samples of each image.

    Attributes:
        samples: scenes sampled for each image.
    """

    kind: str
    samples: int = Field(5, ge=1, le=1000)

    def estimator(self, model: Air2D) -> Estimator:
        """Make the estimator."""
        return (ImportanceWeighted if self.kind == "iwae" else WakeSleep)(model, self.samples)


@ESTIMATORS.register("iwae")
class IwaeSettings(MultiSampleSettings):
    """The importance-weighted bound with sampled counts."""

    kind: Literal["iwae"]
    samples: int = Field(5, ge=2, le=1000, description="scenes sampled for each image")


@ESTIMATORS.register("wake_sleep")
class Air2DWakeSleepSettings(MultiSampleSettings):
    """Reweighted wake-sleep."""

    kind: Literal["wake_sleep"]


class SampledModel(AirModel, Protocol):
    """A model that computes the log-density ratios of its sampled latents."""

    def log_ratio_shared(self, initial: Any) -> Tensor:
        """log q − log p of the sampled latents that all objects share: (B,), nats."""

    def log_ratio(self, step: ObjectStep) -> Tensor:
        """log q(z | x, …) − log p(z) of a step's sampled latents: (B,), nats."""


def log_joint(model: SampledModel, inference: Inference, log_count_prior: Tensor) -> Tensor:
    """log p(x, n, z_1..z_n) − log q(z_1..z_n | x) for n = 0 … N: (B, N + 1), nats.

    Its exponential, summed over n, is an unbiased estimate of p(x).
    """
    ratios = torch.stack([model.log_ratio(step) for step in inference.objects], dim=-1)
    shared = model.log_ratio_shared(inference.shared)[:, None]
    spent = torch.cat([shared, ratios], dim=-1).cumsum(-1)
    return inference.log_likelihood - spent + log_count_prior


def by_image(values: Tensor, samples: int) -> Tensor:
    """Reshape (B · K, …), with the K samples of an image adjacent, to (B, K, …).

    Args:
        samples: K.
    """
    return values.view(-1, samples, *values.shape[1:])


@torch.no_grad()
def mean_bound(inference: Inference, log_count_prior: Tensor, samples: int) -> Bound:
    """The mean over an image's samples of the bound of one sample: (B,) each."""
    bound = exact_count_elbo(inference, log_count_prior)
    return Bound(*(by_image(part, samples).mean(1) for part in bound))


class _MultiSample:
    """Several samples of each image."""

    helpers = None

    def __init__(self, model: SampledModel, samples: int) -> None:
        self.model, self.samples = model, samples

    def inferred(self, images: Tensor, sampler: Sampler) -> Inference:
        """Infer each image `samples` times: rows of one image are adjacent."""
        return attend_infer_repeat(self.model, images.repeat_interleave(self.samples, dim=0), sampler)


class ImportanceWeighted(_MultiSample):
    """An `Estimator`: the importance-weighted bound.  model: the model.  samples: K, at least 2."""

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Compute one estimate."""
        inference = self.inferred(images, Reparameterised(generator))
        counts = sample_counts(inference.log_count, generator)[:, None]
        joint, log_q = (
            by_image(of_all.gather(-1, counts)[:, 0], self.samples)
            for of_all in (log_joint(self.model, inference, log_count_prior), inference.log_count)
        )
        objects = warm_up_fraction * log_mean(joint - log_q.detach())
        if warm_up_fraction < 1:
            uniform = by_image(prefix_bounds(inference).mean(-1), self.samples).mean(1)
            objects = objects + (1 - warm_up_fraction) * uniform
        presence = log_mean(joint.detach() - log_q)
        signal = learning_signals((joint - log_q).detach())
        return Estimate(
            objects + presence + (signal * log_q).sum(-1),
            mean_bound(inference, log_count_prior, self.samples),
        )


def log_mean(log_weights: Tensor) -> Tensor:
    """log 1/K Σ_k exp(w_k): (B,).

    Args:
        log_weights: (B, K).
    """
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def learning_signals(log_weights: Tensor) -> Tensor:
    """Compute the increase of the bound by each sample, compared with the geometric mean of the others.

    Args:
        log_weights: (B, K), K at least 2.

    Returns:
        (B, K), nats.
    """
    samples = log_weights.shape[-1]
    others = (log_weights.sum(-1, keepdim=True) - log_weights) / (samples - 1)
    own = torch.eye(samples, dtype=torch.bool, device=log_weights.device)
    replaced = torch.where(own, others[:, :, None], log_weights[:, None, :])
    return log_mean(log_weights)[:, None] - log_mean(replaced.flatten(0, 1)).view_as(log_weights)


class WakeSleep(_MultiSample):
    """An `Estimator`: reweighted wake-sleep.  model: the model.  samples: K."""

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, warm_up_fraction: float, generator: torch.Generator
    ) -> Estimate:
        """Compute one estimate."""
        inference = self.inferred(images, _DetachedSampler(generator))
        joint = by_image(log_joint(self.model, inference, log_count_prior), self.samples).detach()
        posterior = joint.flatten(1).softmax(-1).view_as(joint)
        uniform = joint.softmax(1) / joint.shape[-1]
        weights = warm_up_fraction * posterior + (1 - warm_up_fraction) * uniform
        log_q = log_joint(self.model, inference, log_count_prior).neg() + inference.log_likelihood
        objects = by_image(inference.log_likelihood + log_q, self.samples)
        presence = by_image(inference.log_count, self.samples)
        return Estimate(
            (weights * objects + posterior * presence).sum((1, 2)),
            mean_bound(inference, log_count_prior, self.samples),
        )


class _DetachedSampler:
    """Samples values through which no gradient passes."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, posterior: Posterior) -> Tensor:
        """Sample one value."""
        return posterior.sample(self.generator).detach()
