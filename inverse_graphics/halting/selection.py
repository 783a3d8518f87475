"""Processes that select one of their states: at least one step, and the last halts whatever its logit.

Also `skip_halted`, which evaluates only the rows that are still alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from inverse_graphics.halting.pondering import Pondering, Step, Stepper


def log_weights(pondering: Pondering[Any]) -> Tensor:
    """Log-weights of the n steps that were run: (n, ...), which sum to one; step l is outcome l.

    The last step takes the whole weight that was alive before it.
    """
    *before, last = pondering.splits
    alive = before[-1].log_keep if before else torch.zeros_like(last.log_keep)
    return torch.stack([*(split.log_halt for split in before), alive])


def select(log_weight: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Compute the weighted mean of the steps' values: (..., D).

    Args:
        log_weight: (n, ...).
        values: n tensors (..., D), or of any shape to which the weights broadcast after ones are appended,
            such as (B, C, H, W) for weights of (B, 1, H, W).
    """
    stacked = torch.stack(list(values))
    missing = stacked.dim() - log_weight.dim()
    return (log_weight.exp().reshape(*log_weight.shape, *[1] * missing) * stacked).sum(0)


def steps_taken(pondering: Pondering[Any]) -> Tensor:
    """N, the number of steps until the process halted: (...), float, from 1.  Carries no gradient."""
    alive = [torch.isfinite(split.log_keep) for split in pondering.splits[:-1]]
    return torch.stack([torch.ones_like(pondering.halt_logits[0]), *alive]).sum(0).detach()


def ponder_cost(pondering: Pondering[Any]) -> Tensor:
    """ρ = N + R, the number of steps plus the weight of the last of them: (...).

    The gradient is that of R alone: −1 in the halting probability of each step before the last.
    Source: Graves 2016, equations 10 and 14.
    """
    steps = steps_taken(pondering)
    last = (steps.long() - 1)[None]
    return steps + log_weights(pondering).gather(0, last)[0].exp()


def expected_steps(pondering: Pondering[Any]) -> Tensor:
    """Σ_l l · h_l · Π_{i<l} (1 − h_i): (...), from the halting probabilities, not from sampled outcomes.

    Only the steps that were run count.
    """
    log_alive = accumulate(logsigmoid(-logit) for logit in pondering.halt_logits[:-1])
    return torch.stack([torch.zeros_like(pondering.halt_logits[0]), *log_alive]).exp().sum(0)


def conditional_expected_steps(pondering: Pondering[Any]) -> Tensor:
    """1 + Σ_l alive_l · (1 − h_l): (...), the expected number of steps, each term given earlier samples.

    Here alive_l is the weight that was alive before step l, 1 or 0 for rules that choose one outcome. The
    mean over samples is the mean number of steps, also where later halting probabilities depend on earlier
    samples or on those of other positions, as in residual blocks; `expected_steps` has this property only
    where they do not.
    """
    alive = [torch.ones_like(pondering.halt_logits[0])]
    alive += [split.log_keep.exp() for split in pondering.splits]
    continues = [torch.sigmoid(-logit) for logit in pondering.halt_logits[: pondering.steps - 1]]
    return 1 + sum((a * c for a, c in zip(alive, continues, strict=False)), torch.zeros_like(alive[0]))


def log_probability(pondering: Pondering[Any]) -> Tensor:
    """Log-probability of the sampled outcome: (...), nats; for rules that choose one outcome."""
    total = torch.zeros_like(pondering.halt_logits[0])
    choices = zip(pondering.halt_logits, pondering.splits, strict=True)
    for logit, split in list(choices)[: pondering.steps - 1]:
        halts, continues = torch.isfinite(split.log_halt), torch.isfinite(split.log_keep)
        total = total + torch.where(halts, logsigmoid(logit), 0)
        total = total + torch.where(continues, logsigmoid(-logit), 0)
    return total


def skip_halted(step: Stepper[Any, Any]) -> Stepper[Any, Any]:
    """Wrap a step so that it runs only for rows that are alive; the others keep their state and output zeros.

    Args:
        step: its logit is (B,); its state and output are tensors of B rows, or tuples, lists, dictionaries
            and named tuples of them.
    """

    def compacted(state: Any, index: int, log_alive: Tensor | None) -> Step[Any, Any]:
        if log_alive is None:
            return step(state, index, None)
        rows = torch.isfinite(log_alive).nonzero()[:, 0]
        if len(rows) == len(log_alive):
            return step(state, index, log_alive)
        part = step(_each(lambda whole: whole[rows], state), index, log_alive[rows])

        def spread(values: Tensor) -> Tensor:
            return values.new_zeros(len(log_alive), *values.shape[1:]).index_copy_(0, rows, values)

        return Step(
            spread(part.halt_logit),
            _each(spread, part.output),
            _each(lambda before, after: before.index_copy(0, rows, after), state, part.state),
        )

    return compacted


def _each(function: Callable[..., Tensor], *trees: Any) -> Any:
    """Apply a function to corresponding tensors of nested structures."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)
    if isinstance(first, dict):
        return {key: _each(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple | list):
        parts = [_each(function, *branches) for branches in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return first
