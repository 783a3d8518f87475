"""The evidence lower bound, exact in the count and Monte Carlo in the rest.

    L = Σ_n w_n [ log p(x | z_1..z_n) − Σ_{i≤n} KL_i ] − KL( w ‖ p(n) )

No score function, no baseline, no relaxation, for the price of N + 1 likelihoods of prefixes. Nothing is
detached on the way from a sampled z to later presences and posteriors, so its gradient is unbiased.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.models.air import Inference


class Bound(NamedTuple):
    """The bound and its parts, each (B,), nats.

    elbo = log_likelihood − kl_objects − kl_count − kl_shared, the last being 0 where objects share nothing.
    """

    elbo: Tensor
    log_likelihood: Tensor
    kl_objects: Tensor
    kl_count: Tensor
    kl_shared: Tensor


def exact_count_elbo(inference: Inference, log_count_prior: Tensor) -> Bound:
    """L of each image.  log_count_prior: (N + 1,), log p(n), nats."""
    count = inference.log_count.exp()
    log_likelihood = (count * inference.log_likelihood).sum(-1)
    kl_objects = (inference.log_present.exp() * inference.kl).sum(-1)
    kl_count = (count * (inference.log_count - log_count_prior)).sum(-1)
    elbo = log_likelihood - kl_objects - kl_count - inference.kl_shared
    return Bound(elbo, log_likelihood, kl_objects, kl_count, inference.kl_shared)


def prefix_bounds(inference: Inference) -> Tensor:
    """log p(x | z_1..z_n) − Σ_{i≤n} KL_i, less the shared KL, for n = 0 … N: (B, N + 1), nats."""
    spent = torch.cat([inference.kl_shared[..., None], inference.kl], dim=-1).cumsum(-1)
    return inference.log_likelihood - spent


def warmed_up_objective(
    inference: Inference, log_count_prior: Tensor, warm_up_fraction: float, longest: int | None = None
) -> Tensor:
    """A training surrogate that keeps presence from dying before objects are worth having: (B,), nats.

    A new decoder's objects hurt the likelihood, so on L alone the count collapses to zero before they
    learn. Here objects are trained by every prefix, weighted (1 − trust) · uniform + trust · w, and
    presence by L with the prefixes' bounds held fixed. At trust = 1 its gradient is that of L.
    warm_up_fraction: in [0, 1].  longest: objects learn from prefixes of no more than so many, counts above
    taken for that; then later objects never learn to mend what earlier ones left, and its gradient is not
    that of L.
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
