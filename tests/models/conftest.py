"""What tests of several models share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import PointEstimate


@pytest.fixture(scope="session")
def halting_logits() -> Callable[[Any, Tensor], Tensor]:
    """The halting logits of all steps of an `AirModel` at its posterior means: (B, N)."""

    def of_images(model: Any, images: Tensor) -> Tensor:
        state, logits = model.begin(images, PointEstimate()).state, []
        for _ in range(model.max_objects):
            step = model.step(state, PointEstimate())
            logits.append(step.halt_logit)
            state = step.state
        return torch.stack(logits, -1)

    return of_images
