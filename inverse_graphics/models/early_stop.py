"""Inference that stops at the first object that is more probably absent than present.

Such an image needs no attention in that step and no further steps, also within a batch. The most probable
count is unchanged: at that step the count w_n is at least as probable as all larger counts together, so the
most probable count has been reached.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from inverse_graphics.distributions.sampler import Sampler
from inverse_graphics.models.air import InitialState, ObjectStep


class PresencePrediction(Protocol):
    """The first part of a step, before attention: a named tuple of tensors of B rows."""

    @property
    def halt_logit(self) -> Tensor:
        """The logit of no further object: (B,)."""


class EarlyStoppingModel(Protocol):
    """A model whose steps first predict whether there is one more object, and then infer its latents."""

    @property
    def max_objects(self) -> int:
        """N, the number of steps."""

    def begin(self, images: Tensor, sampler: Sampler) -> InitialState:
        """Infer the latents that all objects share, and build the state before the first step."""

    def predict_presence(self, state: Any) -> Any:
        """Predict whether there is one more object: a `PresencePrediction`."""

    def attend(self, state: Any, prediction: Any, sampler: Sampler) -> tuple[ObjectStep, Any]:
        """Infer the object's latents, and the next state."""


class Found(NamedTuple):
    """The i-th objects of the images that have one.

    Attributes:
        rows: (R,), indices of images.
        step: of these R.
    """

    rows: Tensor
    step: ObjectStep


class EarlyStoppedInference(NamedTuple):
    """The result for B images.

    Attributes:
        initial: the state before the first step.
        objects: i = 1 … L, the largest number of steps of an image.
        log_count: (B, N + 1); the probability of all counts that were not computed is assigned to the first
            of them.
    """

    initial: Any
    objects: list[Found]
    log_count: Tensor

    @property
    def counts(self) -> Tensor:
        """The most probable counts, which may be less than the number of inferred objects: (B,) int64."""
        return self.log_count.argmax(-1)


def infer_until_absent(model: EarlyStoppingModel, images: Tensor, sampler: Sampler) -> EarlyStoppedInference:
    """Infer the objects of B images, each up to the first that is more probably absent.

    Args:
        model: the model.
        images: (B, C, H, W) in [0, 1].
        sampler: takes latents from their posteriors.
    """
    initial = model.begin(images, sampler).state
    rows, state = torch.arange(len(images), device=images.device), initial
    objects: list[Found] = []
    logits: list[Tensor] = []
    for _ in range(model.max_objects):
        prediction = model.predict_presence(state)
        logits.append(
            prediction.halt_logit.new_zeros(len(images)).index_copy_(0, rows, prediction.halt_logit)
        )
        present = (prediction.halt_logit <= 0).nonzero()[:, 0]
        if len(present) == 0:
            break
        if len(present) < len(rows):
            rows, state = rows[present], _select_rows(state, present)
            prediction = _select_rows(prediction, present)
        step, state = model.attend(state, prediction, sampler)
        objects.append(Found(rows, step))
    log_count = stopped_counts(torch.stack(logits, -1), model.max_objects)
    return EarlyStoppedInference(initial, objects, log_count)


def _select_rows(tree: Any, rows: Tensor) -> Any:
    """Select rows of every tensor in nested tuples."""
    if isinstance(tree, Tensor):
        return tree[rows]
    if isinstance(tree, tuple):
        parts = (_select_rows(part, rows) for part in tree)
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return tree


def stopped_counts(halt_logits: Tensor, steps: int) -> Tensor:
    """Compute log-probabilities of the counts from the steps that were run: (B, N + 1).

    Args:
        halt_logits: (B, L) of the L ≤ N steps that were run; those after the first above 0 are ignored.
        steps: N.
    """
    halts = halt_logits > 0
    skipped = halts.long().cumsum(-1) - halts.long() > 0
    keep = torch.where(skipped, 0.0, logsigmoid(-halt_logits)).cumsum(-1)
    before = pad(keep[:, :-1], (1, 0))
    halted = before + logsigmoid(halt_logits)
    first_skipped = skipped & ~pad(skipped[:, :-1], (1, 0))
    halted = torch.where(skipped, torch.where(first_skipped, before, -torch.inf), halted)
    rest = torch.where(skipped[:, -1], -torch.inf, keep[:, -1])
    log_count = torch.cat([halted, rest[:, None]], -1)
    return pad(log_count, (0, steps - halt_logits.shape[-1]), value=-torch.inf)
