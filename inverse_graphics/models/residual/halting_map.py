"""How probable it is, at each position, that a residual block has done enough there.

H(u) = σ(W̃ ∗ u + W pool(u) + b): a 3×3 convolution sees the neighbourhood, a mean over the map sees the whole.
Source: Figurnov et al. 2017, "Spatially Adaptive Computation Time for Residual Networks"; the
probability is kept in [δ, 1 − δ], so that no logit is so large that noise never moves it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class HaltingMap(nn.Module):
    """Halting logits of a map of features.  bias: b at the start; W̃ and W begin at zero.  delta: δ."""

    def __init__(self, channels: int, bias: float, delta: float) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, 1, 3, 1, 1)
        self.far = nn.Linear(channels, 1, bias=False)
        self.limit = math.log1p(-delta) - math.log(delta)
        nn.init.zeros_(self.near.weight)
        nn.init.zeros_(self.far.weight)
        assert self.near.bias is not None
        nn.init.constant_(self.near.bias, bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits before clipping: (B, H, W) of (B, C, H, W)."""
        everywhere = self.far(features.mean((2, 3)))
        return self.near(features)[:, 0] + everywhere[:, :, None]

    def clipped(self, logits: Tensor) -> Tensor:
        """Logits of probabilities in [δ, 1 − δ]."""
        return torch.clamp(logits, -self.limit, self.limit)
