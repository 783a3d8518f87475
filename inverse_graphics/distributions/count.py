"""The prior over how many objects a scene holds."""

from __future__ import annotations

import torch
from torch import Tensor


def truncated_geometric(log_odds: float, max_count: int) -> Tensor:
    """Log-probabilities of the counts 0 … max_count: p(n) ∝ exp(n · log_odds).

    log_odds: by how many nats each further object is more probable; 0 is the uniform prior, negative
    values prefer few objects.  Returns (max_count + 1,), nats.
    Source: Eslami et al. 2016, section 2.1 (a geometric prior), truncated at `max_count`.
    """
    return torch.log_softmax(log_odds * torch.arange(max_count + 1, dtype=torch.float64), dim=0).float()
