"""What mixtures share, whatever their components are."""

from __future__ import annotations

import torch
from torch import Tensor


def mixture_log_prob(logits: Tensor, log_prob_of_components: Tensor) -> Tensor:
    """Log density of a mixture from those of its components.

    logits: (..., M), of the weights, unnormalised.  log_prob_of_components: (..., M), nats.  Returns (...).
    """
    return torch.logsumexp(torch.log_softmax(logits, -1) + log_prob_of_components, -1)


def drawn_component(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the index of a component.  logits: (..., M).  Returns (..., 1), int64, to gather by.

    The largest of logits with Gumbel noise is distributed by their softmax (Gumbel 1954).
    """
    uniform = torch.rand(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
    gumbel = -(-(uniform + torch.finfo(logits.dtype).tiny).log()).log()
    return (logits + gumbel).argmax(-1, keepdim=True)
