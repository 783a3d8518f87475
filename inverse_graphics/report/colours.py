"""Colours that carry meaning: which step of the inference, and how far away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEP_COLOURS = ("#ff8a1f", "#2fc0f2", "#8fdc3c", "#ff5fa2", "#ffd83d", "#b48cff")
"""Colours of the first, second, … step: bright on dark and on light pictures alike."""

_VIRIDIS = np.array(
    [
        (253, 231, 37), (181, 222, 43), (110, 206, 88), (53, 183, 121), (31, 158, 137),
        (38, 130, 142), (49, 104, 142), (62, 74, 137), (72, 40, 120), (68, 1, 84),
    ]
) / 255  # fmt: skip
"""Ten samples of the viridis map of matplotlib (van der Walt and Smith 2015, CC0), bright first."""

NOTHING = 0.13


def step_colour(step: int) -> str:
    """The colour of step number `step`, 0 being the first, as #rrggbb."""
    return STEP_COLOURS[step % len(STEP_COLOURS)]


def depth_colours(depth: NDArray[np.floating]) -> NDArray[np.float32]:
    """(H, W) metres as (H, W, 3) in [0, 1]: near is bright, far is dark, infinite is grey."""
    seen = np.isfinite(depth)
    near, far = depth_range(depth)
    share = np.where(seen, (np.where(seen, depth, near) - near) / max(far - near, 1e-9), 0.0)
    places = np.linspace(0, 1, len(_VIRIDIS))
    coloured = np.stack([np.interp(share, places, channel) for channel in _VIRIDIS.T], axis=-1)
    return np.where(seen[..., None], coloured, NOTHING).astype(np.float32)


def depth_range(depth: NDArray[np.floating]) -> tuple[float, float]:
    """The nearest and the farthest finite depth, metres; (0, 0) where there is none."""
    finite = depth[np.isfinite(depth)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
