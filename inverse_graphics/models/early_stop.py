"""Inference that stops looking where nothing more is there.

An image is done with at the first step whose object is rather absent than present: it costs no closer look
in that step, and nothing from there on, in batches too. That loses no answer: at that step the count w_n is
at least as probable as all larger counts together, so the most probable count has been seen.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from inverse_graphics.distributions.sampler import Sampler
from inverse_graphics.models.air import InitialState, ObjectStep


class Glance(Protocol):
    """What a step knows before it looks closer: a named tuple of tensors of B rows."""

    @property
    def halt_logit(self) -> Tensor:
        """That there is no further object: (B,)."""


class EarlyStoppingModel(Protocol):
    """A model whose steps tell first whether there is one more object, and then what it is."""

    @property
    def max_objects(self) -> int:
        """N, the number of steps."""

    def begin(self, images: Tensor, sampler: Sampler) -> InitialState:
        """Infer what all objects share, and give the state before the first step."""

    def glance(self, state: Any) -> Any:
        """Say whether there is one more object: a `Glance`."""

    def attend(self, state: Any, glance: Any, sampler: Sampler) -> tuple[ObjectStep, Any]:
        """Infer that object, and the state after it."""


class Found(NamedTuple):
    """The i-th objects of those images of a batch that have one.  rows: (R,), which.  step: of these R."""

    rows: Tensor
    step: ObjectStep


class EarlyStoppedInference(NamedTuple):
    """What was found in B images.

    initial: the state before the first step.  objects: i = 1 … L, as far as some image was looked at.
    log_count: (B, N + 1); what was not looked at, all larger counts together, goes to the first of them.
    """

    initial: Any
    objects: list[Found]
    log_count: Tensor

    @property
    def counts(self) -> Tensor:
        """The most probable counts, which may be less than what was looked at: (B,) int64."""
        return self.log_count.argmax(-1)


def infer_until_absent(model: EarlyStoppingModel, images: Tensor, sampler: Sampler) -> EarlyStoppedInference:
    """Find the objects of B images, each up to the first that is rather not there.

    images: (B, C, H, W) in [0, 1].
    """
    initial = model.begin(images, sampler).state
    rows, state = torch.arange(len(images), device=images.device), initial
    objects: list[Found] = []
    logits: list[Tensor] = []
    for _ in range(model.max_objects):
        glance = model.glance(state)
        logits.append(glance.halt_logit.new_zeros(len(images)).index_copy_(0, rows, glance.halt_logit))
        there = (glance.halt_logit <= 0).nonzero()[:, 0]
        if len(there) == 0:
            break
        if len(there) < len(rows):
            rows, state, glance = rows[there], _taken(state, there), _taken(glance, there)
        step, state = model.attend(state, glance, sampler)
        objects.append(Found(rows, step))
    log_count = stopped_counts(torch.stack(logits, -1), model.max_objects)
    return EarlyStoppedInference(initial, objects, log_count)


def _taken(tree: Any, rows: Tensor) -> Any:
    """Some rows of every tensor in nested tuples."""
    if isinstance(tree, Tensor):
        return tree[rows]
    if isinstance(tree, tuple):
        parts = (_taken(part, rows) for part in tree)
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return tree


def stopped_counts(halt_logits: Tensor, steps: int) -> Tensor:
    """Log-probabilities of the counts, as far as was looked: (B, N + 1).

    halt_logits: (B, L) of the L ≤ N steps that were run; those after the first above 0 mean nothing.
    """
    halts = halt_logits > 0
    unseen = halts.long().cumsum(-1) - halts.long() > 0
    keep = torch.where(unseen, 0.0, logsigmoid(-halt_logits)).cumsum(-1)
    before = pad(keep[:, :-1], (1, 0))
    halted = before + logsigmoid(halt_logits)
    first_unseen = unseen & ~pad(unseen[:, :-1], (1, 0))
    halted = torch.where(unseen, torch.where(first_unseen, before, -torch.inf), halted)
    rest = torch.where(unseen[:, -1], -torch.inf, keep[:, -1])
    log_count = torch.cat([halted, rest[:, None]], -1)
    return pad(log_count, (0, steps - halt_logits.shape[-1]), value=-torch.inf)
