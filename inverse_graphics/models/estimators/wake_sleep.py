"""Reweighted wake-sleep: the model and the posteriors learn from the same weighted samples.

    weights ∝ p(n) p(x | z_1..z_n) Π_{i≤n} p(z_i) / q(z_i | x, z_<i), over samples k and counts n
    the model:      Σ weights · log p(x | z_1..z_n)
    the posteriors: Σ weights · [ log q(n | x, z) + Σ_{i≤n} log q(z_i | x, z_<i) ]

Counts are enumerated. No gradient passes through a sample. Biased for few samples, as the weights are
normalised by themselves; the bias vanishes as their number grows.
Source: Bornschein and Bengio 2015, "Reweighted Wake-Sleep"; Le et al. 2019, "Revisiting Reweighted
Wake-Sleep".
"""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import Posterior
from inverse_graphics.models.air import attend_infer_repeat
from inverse_graphics.models.estimators.estimate import Estimate
from inverse_graphics.models.estimators.multi_sample import SampledModel, by_image, log_joint, mean_bound


class WakeSleep:
    """An `Estimator`: K samples of each image."""

    helpers = None

    def __init__(self, model: SampledModel, samples: int) -> None:
        self.model = model
        self.samples = samples

    def __call__(
        self, images: Tensor, log_count_prior: Tensor, trust: float, generator: torch.Generator
    ) -> Estimate:
        """One estimate."""
        repeated = images.repeat_interleave(self.samples, dim=0)
        inference = attend_infer_repeat(self.model, repeated, _Held(generator))
        joint = by_image(log_joint(self.model, inference, log_count_prior), self.samples).detach()
        posterior = joint.flatten(1).softmax(-1).view_as(joint)
        alike = joint.softmax(1) / joint.shape[-1]
        learnt_from = trust * posterior + (1 - trust) * alike
        log_q = log_joint(self.model, inference, log_count_prior).neg() + inference.log_likelihood
        objects = by_image(inference.log_likelihood + log_q, self.samples)
        presence = by_image(inference.log_count, self.samples)
        return Estimate(
            (learnt_from * objects + posterior * presence).sum((1, 2)),
            mean_bound(inference, log_count_prior, self.samples),
        )


class _Held:
    """Draws values through which no gradient passes."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __call__(self, posterior: Posterior) -> Tensor:
        """Draw one value."""
        return posterior.sample(self.generator).detach()
