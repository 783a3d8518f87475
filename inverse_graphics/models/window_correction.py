"""How a window should have been laid, by what is seen in it.

A window is first laid by what is seen of the whole, which tells roughly where an object is. What it shows
tells better: an object off its centre, or half of each of two. Source: the idea of Dollár et al. 2010,
"Cascaded pose regression", that a pose is improved by features that are read by that pose.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WindowCorrection(nn.Module):
    """Pictures (B, G, G) seen in windows to changes of the windows' posteriors (B, 2 W), at first none.

    size: G.  hidden: units.  where: W, numbers that lay a window; means come before standard deviations.
    """

    def __init__(self, size: int, hidden: int, where: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size * size, hidden)
        self.change = nn.Linear(hidden, 2 * where)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, glimpses: Tensor) -> Tensor:
        """What is to be added to a window's mean and to what its standard deviation is made from."""
        return self.change(torch.relu(self.hidden(glimpses.flatten(1))))
