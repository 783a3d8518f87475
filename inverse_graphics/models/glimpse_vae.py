"""What an object looks like: an encoder from a glimpse to its appearance, and a decoder back.

Source: Kingma & Welling 2014, "Auto-Encoding Variational Bayes"; sizes as in Eslami et al. 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from inverse_graphics.distributions.gaussian import Gaussian


class GlimpseEncoder(nn.Module):
    """What is seen in a window: pictures (B, G, G) to a posterior over appearances (B, D)."""

    def __init__(self, size: int, hidden: int, what: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size * size, hidden)
        self.posterior = nn.Linear(hidden, 2 * what)

    def forward(self, glimpses: Tensor) -> Gaussian:
        """The posterior of each glimpse's appearance."""
        mean, raw_std = self.posterior(torch.relu(self.hidden(glimpses.flatten(1)))).chunk(2, -1)
        return Gaussian(mean, softplus(raw_std))


class GlimpseDecoder(nn.Module):
    """How an object looks: appearances (B, D) to pictures (B, G, G) in [0, 1].

    bias: the logit of every grey level at the start; a dark start keeps first guesses from hurting.
    """

    def __init__(self, size: int, hidden: int, what: int, bias: float) -> None:
        super().__init__()
        self.size = size
        self.hidden = nn.Linear(what, hidden)
        self.picture = nn.Linear(hidden, size * size)
        nn.init.constant_(self.picture.bias, bias)

    def forward(self, what: Tensor) -> Tensor:
        """The picture of each appearance."""
        logits = self.picture(torch.relu(self.hidden(what)))
        return torch.sigmoid(logits).view(-1, self.size, self.size)
