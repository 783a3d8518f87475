"""The evidence lower bound, exact in the count and Monte Carlo in the other latents.

    L = Σ_n w_n [ log p(x | z_1..z_n) − Σ_{i≤n} KL_i ] − KL( w ‖ p(n) )

It needs no score function, baseline or relaxation, at the cost of N + 1 likelihoods of prefixes. Gradients
flow from a sampled z to later presences and posteriors without detachment, so that the gradient is unbiased.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.models.air import Inference


class Bound(NamedTuple):
    """The bound and its parts, each (B,), nats.

    elbo = log_likelihood − kl_objects − kl_count − kl_shared; the last is 0 if there are no shared latents.
    """

    elbo: Tensor
    log_likelihood: Tensor
    kl_objects: Tensor
    kl_count: Tensor
    kl_shared: Tensor


def exact_count_elbo(inference: Inference, log_count_prior: Tensor) -> Bound:
    """Compute L of each image.

    Args:
        inference: of B images.
        log_count_prior: (N + 1,), log p(n), nats.
    """
    count = inference.log_count.exp()
    log_likelihood = (count * inference.log_likelihood).sum(-1)
    kl_objects = (inference.log_present.exp() * inference.kl).sum(-1)
    kl_count = (count * (inference.log_count - log_count_prior)).sum(-1)
    elbo = log_likelihood - kl_objects - kl_count - inference.kl_shared
    return Bound(elbo, log_likelihood, kl_objects, kl_count, inference.kl_shared)


def prefix_bounds(inference: Inference) -> Tensor:
    """log p(x | z_1..z_n) − Σ_{i≤n} KL_i, less the shared KL, for n = 0 … N: (B, N + 1), nats."""
    kl = torch.cat([inference.kl_shared[..., None], inference.kl], dim=-1).cumsum(-1)
    return inference.log_likelihood - kl


def warmed_up_objective(
    inference: Inference, log_count_prior: Tensor, warm_up_fraction: float, longest: int | None = None
) -> Tensor:
    """Compute a training surrogate that prevents presence from going to zero at the start: (B,), nats.

    The objects of an untrained decoder reduce the likelihood, so with L alone the count collapses to zero
    before they are trained. Here objects are trained on all prefixes, with weights (1 − f) · uniform + f · w,
    and presence on L with the prefixes' bounds fixed. At f = 1 the gradient is that of L, unless `longest`
    is given: then later objects are not trained to correct the errors of earlier ones.


    Args:
        inference: of B images.
        log_count_prior: (N + 1,), log p(n), nats.
        warm_up_fraction: f, in [0, 1].
        longest: objects are trained on prefixes of at most this many objects; the weight of larger counts is
            added to it.
    """
    bounds = prefix_bounds(inference)
    count = inference.log_count.exp()
    weights = count.detach()
    if longest is not None and longest < weights.shape[-1] - 1:
        weights = torch.cat([weights[..., :longest], weights[..., longest:].sum(-1, keepdim=True)], -1)
    weights = (1 - warm_up_fraction) / weights.shape[-1] + warm_up_fraction * weights
    for_objects = (weights * bounds[..., : weights.shape[-1]]).sum(-1)
    for_presence = (count * (bounds.detach() - inference.log_count + log_count_prior)).sum(-1)
    return for_objects + for_presence
