"""Random numbers that are the same on every device: drawn on the generator's device, then moved."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def draw_normal(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw from N(0, 1), on the device and in the dtype of `like`."""
    drawn = torch.randn(shape, generator=generator, dtype=like.dtype, device=generator.device)
    return drawn.to(like.device)


def draw_uniform(
    shape: Sequence[int], generator: torch.Generator, like: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Draw uniformly from [0, 1), on the device and, unless another is given, in the dtype of `like`."""
    drawn = torch.rand(shape, generator=generator, dtype=dtype or like.dtype, device=generator.device)
    return drawn.to(like.device)


def draw_integers(high: int, shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw uniformly from 0 … high − 1, int64, on the device of `like`."""
    return torch.randint(high, shape, generator=generator, device=generator.device).to(like.device)


def draw_categories(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` indices of each row in proportion to its weights, with replacement.

    Args:
        weights: (R, K), not negative.

    Returns:
        (R, count), int64.
    """
    drawn = torch.multinomial(weights.to(generator.device), count, replacement=True, generator=generator)
    return drawn.to(weights.device)
