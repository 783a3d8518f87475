"""The importance-weighted bound, its counts drawn: L_K = E log 1/K Σ_k p(x, z_k, n_k) / q(z_k, n_k | x).

Counts learn by the score function, each sample's signal being how much it raised the bound over what the
others give. Unbiased for L_K.
Source: Burda, Grosse and Salakhutdinov 2016, "Importance Weighted Autoencoders"; Mnih and Rezende 2016,
"Variational Inference for Monte Carlo Objectives", equations 7 to 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import Reparameterised
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.elbo import prefix_bounds
from inverse_graphics.models.estimators.estimate import Estimate
from inverse_graphics.models.estimators.multi_sample import SampledModel, by_image, log_joint, mean_bound
from inverse_graphics.models.estimators.score_function import draw_counts


class ImportanceWeighted:
    """An `Estimator`: K samples of each image, at least two."""

    helpers = None

    def __init__(self, model: SampledModel, samples: int) -> None:
        self.model = model
        self.samples = samples

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, trust: float, generator: torch.Generator
    ) -> Estimate:
        """One estimate."""
        repeated = images.repeat_interleave(self.samples, dim=0)
        inference = attend_infer_repeat(self.model, repeated, Reparameterised(generator))
        drawn = draw_counts(inference.log_count, generator)[:, None]
        joint, log_q = (
            by_image(of_all.gather(-1, drawn)[:, 0], self.samples)
            for of_all in (log_joint(self.model, inference, log_count_prior), inference.log_count)
        )
        objects = trust * log_mean(joint - log_q.detach())
        if trust < 1:
            every = by_image(prefix_bounds(inference).mean(-1), self.samples).mean(1)
            objects = objects + (1 - trust) * every
        presence = log_mean(joint.detach() - log_q)
        signal = signals((joint - log_q).detach())
        return Estimate(
            objects + presence + (signal * log_q).sum(-1),
            mean_bound(inference, log_count_prior, self.samples),
        )


def log_mean(log_weights: Tensor) -> Tensor:
    """log 1/K Σ_k exp: (B,) of (B, K)."""
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def signals(log_weights: Tensor) -> Tensor:
    """By how much each sample raised the bound, had it weighed as much as the others' geometric mean.

    log_weights: (B, K), K at least 2.  Returns (B, K), nats.
    """
    samples = log_weights.shape[-1]
    others = (log_weights.sum(-1, keepdim=True) - log_weights) / (samples - 1)
    own = torch.eye(samples, dtype=torch.bool, device=log_weights.device)
    replaced = torch.where(own, others[:, :, None], log_weights[:, None, :])
    return log_mean(log_weights)[:, None] - log_mean(replaced.flatten(0, 1)).view_as(log_weights)
