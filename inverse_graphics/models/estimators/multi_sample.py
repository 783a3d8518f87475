"""Several samples of each image, and how much each weighs."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from inverse_graphics.models.air import AirModel, Inference, ObjectStep
from inverse_graphics.models.elbo import Bound, exact_count_elbo


class SampledModel(AirModel, Protocol):
    """A model that says how probable the latents that it drew were."""

    def log_ratio_shared(self, beginning: Any) -> Tensor:
        """log q − log p of what all objects share, as it was drawn: (B,), nats."""

    def log_ratio(self, step: ObjectStep) -> Tensor:
        """log q(z | x, …) − log p(z) of a step's latents as they were drawn: (B,), nats."""


def log_joint(model: SampledModel, inference: Inference, log_count_prior: Tensor) -> Tensor:
    """log p(x, n, z_1..z_n) − log q(z_1..z_n | x) for n = 0 … N: (B, N + 1), nats.

    Its exponential, summed over n, is an unbiased estimate of p(x).
    """
    ratios = torch.stack([model.log_ratio(step) for step in inference.objects], dim=-1)
    shared = model.log_ratio_shared(inference.shared)[:, None]
    spent = torch.cat([shared, ratios], dim=-1).cumsum(-1)
    return inference.log_likelihood - spent + log_count_prior


def by_image(values: Tensor, samples: int) -> Tensor:
    """(B · K, …) of images repeated one by one, as (B, K, …)."""
    return values.view(-1, samples, *values.shape[1:])


@torch.no_grad()
def mean_bound(inference: Inference, log_count_prior: Tensor, samples: int) -> Bound:
    """The bound of one sample, averaged over each image's: (B,) each."""
    bound = exact_count_elbo(inference, log_count_prior)
    return Bound(*(by_image(part, samples).mean(1) for part in bound))
