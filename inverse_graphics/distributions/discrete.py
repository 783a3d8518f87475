"""Discrete distributions: categorical, the prior of the number of objects, and the component of a mixture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.draws import draw_categories, draw_integers, draw_uniform


class Categorical(NamedTuple):
    """Distribution over K kinds.

    Attributes:
        log_probs: (..., K), normalised, nats.
    """

    log_probs: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of `value` (...), int64: (...), nats."""
        return self.log_probs.gather(-1, value[..., None])[..., 0]

    def sample(self, generator: torch.Generator) -> Tensor:
        """Sample one kind: (...), int64; carries no gradient."""
        flat = self.log_probs.detach().exp().reshape(-1, self.log_probs.shape[-1])
        sample = draw_categories(flat, 1, generator)[:, 0]
        return sample.reshape(self.log_probs.shape[:-1])

    def sample_uniform(self, generator: torch.Generator) -> Tensor:
        """Sample from the uniform distribution over the kinds: (...), int64."""
        shape, kinds = self.log_probs.shape[:-1], self.log_probs.shape[-1]
        return draw_integers(kinds, shape, generator, self.log_probs)

    def log_uniform(self) -> Tensor:
        """Log-probability of each kind under the uniform distribution: (), nats."""
        return -torch.log(self.log_probs.new_tensor(float(self.log_probs.shape[-1])))

    def centre(self) -> Tensor:
        """The most probable kind: (...), int64."""
        return self.log_probs.argmax(-1)


def truncated_geometric(log_odds: float, max_count: int) -> Tensor:
    """Log-probabilities of the counts 0 … max_count: p(n) ∝ exp(n · log_odds).

    Args:
        log_odds: log-ratio of the probabilities of n + 1 and n objects, nats; 0 is the uniform prior,
            negative values prefer few objects.
        max_count: the largest count.

    Returns:
        (max_count + 1,), nats. Source: Eslami et al. 2016, section 2.1 (a geometric prior), truncated at
        `max_count`.
    """
    return torch.log_softmax(log_odds * torch.arange(max_count + 1, dtype=torch.float64), dim=0).float()


def mixture_log_prob(logits: Tensor, log_prob_of_components: Tensor) -> Tensor:
    """Log density of a mixture from the log densities of its components.

    Args:
        logits: (..., M), of the weights, unnormalised.
        log_prob_of_components: (..., M), nats.

    Returns:
        (...).
    """
    return torch.logsumexp(torch.log_softmax(logits, -1) + log_prob_of_components, -1)


def sample_component(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Sample the index of a component.

    The argmax of logits plus Gumbel noise is distributed by their softmax (Gumbel 1954).

    Args:
        logits: (..., M).

    Returns:
        (..., 1), int64, an index for `gather`.
    """
    uniform = draw_uniform(logits.shape, generator, logits)
    gumbel = -(-(uniform + torch.finfo(logits.dtype).tiny).log()).log()
    return (logits + gumbel).argmax(-1, keepdim=True)
