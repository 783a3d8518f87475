"""How a cost grows with what it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Growth:
    """A straight line through measured costs, fixed + each · x, and how far from straight they are.

    fixed, each: seconds.  deviation: the largest relative distance of a measured cost from the line.
    slope: of the cost in a double logarithmic plot, over the upper octaves of x: 1 where it is proportional,
    0 where it does not depend on x.
    """

    fixed: float
    each: float
    deviation: float
    slope: float


def growth(x: Sequence[float], seconds: Sequence[float]) -> Growth:
    """Fit a line with non-negative fixed part, each cost weighed by its own size, and the upper slope.

    x, seconds: positive, at least two.
    """
    from scipy.optimize import nnls

    at, cost = np.asarray(x, float), np.asarray(seconds, float)
    terms = np.stack([np.ones_like(at), at / at.max()], axis=1)
    (fixed, each), _ = nnls(terms / cost[:, None], np.ones_like(cost))
    deviation = float(np.abs((terms @ [fixed, each]) / cost - 1).max())
    return Growth(float(fixed), float(each / at.max()), deviation, _upper_slope(at, cost))


def _upper_slope(at: np.ndarray, cost: np.ndarray) -> float:
    """Least squares in logarithms over all x from an eighth of the largest on, two at least."""
    order = np.argsort(at)
    upper = order[max(0, min(len(at) - 2, int((at < at.max() / 8).sum()))) :]
    return float(np.polyfit(np.log(at[upper]), np.log(cost[upper]), 1)[0])
