"""Inference that stops looking where nothing more is there.

An image is done with at the first step whose object is rather absent than present, and costs nothing from
there on, in batches too. That loses no answer: at that step the count w_n is at least as probable as all
larger counts together, so the most probable count has been seen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from inverse_graphics.distributions.sampler import Sampler
from inverse_graphics.halting import Step, Thresholded, ponder, skip_halted
from inverse_graphics.models.air import AirModel, Inference, ObjectStep


def infer_until_absent(model: AirModel, images: Tensor, sampler: Sampler) -> Inference:
    """Infer the objects of B images, each up to the first that is rather not there.

    images: (B, C, H, W) in [0, 1].  `objects` are only the steps that some image needed; where an image did
    not, they hold zeros. `log_count` gives what was not looked at, all larger counts together, to the first
    of them. `log_likelihood` is −inf, and `kl` 0, of steps that no image needed.
    """
    beginning = model.begin(images, sampler)

    def step(state: Any, *_: object) -> Step[Any, ObjectStep]:
        return model.step(state, sampler)

    pondering = ponder(skip_halted(step), beginning.state, model.max_objects, Thresholded())
    objects, steps = pondering.outputs, model.max_objects
    missing = steps - len(objects)
    log_count, log_present = stopped_counts(torch.stack(pondering.halt_logits, -1), steps)
    return Inference(
        shared=beginning.state,
        objects=objects,
        log_count=log_count,
        log_present=log_present,
        kl=pad(torch.stack([one.kl for one in objects], dim=-1), (0, missing)),
        kl_shared=beginning.kl,
        log_likelihood=pad(model.prefix_log_likelihoods(images, objects), (0, missing), value=-torch.inf),
    )


def stopped_counts(halt_logits: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the counts (B, N + 1), and that object i exists (B, N), as far as was looked.

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
    present = torch.where(unseen, -torch.inf, keep)
    missing = steps - halt_logits.shape[-1]
    return pad(log_count, (0, missing), value=-torch.inf), pad(present, (0, missing), value=-torch.inf)
