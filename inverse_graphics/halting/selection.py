"""Processes that select one of their states: at least one step, and the last halts whatever its logit.

Evaluation that does no work for rows that have halted.
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
    """Log-weights of the n steps that were run: (n, ...), summing to one; step l is outcome l.

    Where the loop came to its last step, that one takes all that was alive before it.
    """
    *before, last = pondering.splits
    alive = before[-1].log_keep if before else torch.zeros_like(last.log_keep)
    return torch.stack([*(split.log_halt for split in before), alive])


def select(log_weight: Tensor, values: Sequence[Tensor]) -> Tensor:
    """The weighted mean of what the steps left: (..., D).

    log_weight: (n, ...).  values: n of (..., D), or of any shape that the weights' broadcasts to once ones
    are appended, such as (B, C, H, W) for weights of (B, 1, H, W).
    """
    stacked = torch.stack(list(values))
    missing = stacked.dim() - log_weight.dim()
    return (log_weight.exp().reshape(*log_weight.shape, *[1] * missing) * stacked).sum(0)


def steps_taken(pondering: Pondering[Any]) -> Tensor:
    """N, how many steps were needed: (...), float, from 1.  Carries no gradient."""
    alive = [torch.isfinite(split.log_keep) for split in pondering.splits[:-1]]
    return torch.stack([torch.ones_like(pondering.halt_logits[0]), *alive]).sum(0).detach()


def ponder_cost(pondering: Pondering[Any]) -> Tensor:
    """ρ = N + R, the steps taken and the weight of the last of them: (...).

    The gradient is that of R alone: −1 in the halting probability of each step before the last.
    Source: Graves 2016, equations 10 and 14.
    """
    steps = steps_taken(pondering)
    last = (steps.long() - 1)[None]
    return steps + log_weights(pondering).gather(0, last)[0].exp()


def expected_steps(pondering: Pondering[Any]) -> Tensor:
    """Σ_l l · h_l · Π_{i<l} (1 − h_i): (...), from the halting probabilities, not from what was drawn.

    Of the steps that were run: what would have come after is left out.
    """
    kept = accumulate(logsigmoid(-logit) for logit in pondering.halt_logits[:-1])
    return torch.stack([torch.zeros_like(pondering.halt_logits[0]), *kept]).exp().sum(0)


def foreseen_steps(pondering: Pondering[Any]) -> Tensor:
    """1 + Σ_l alive_l · (1 − h_l): (...), the steps to expect, each given what was drawn before it.

    alive_l: what was alive before step l; 1 or 0 where a rule chooses.  Its mean over draws is that of the
    number of steps, also where later halting probabilities depend on what was drawn, or on what was drawn
    elsewhere, as in residual blocks; `expected_steps` is so only where they do not.
    """
    alive = [torch.ones_like(pondering.halt_logits[0])]
    alive += [split.log_keep.exp() for split in pondering.splits]
    goes_on = [torch.sigmoid(-logit) for logit in pondering.halt_logits[: pondering.steps - 1]]
    return 1 + sum((a * g for a, g in zip(alive, goes_on, strict=False)), torch.zeros_like(alive[0]))


def log_probability(pondering: Pondering[Any]) -> Tensor:
    """Log-probability of the outcome that was drawn: (...), nats; for rules that choose one outcome."""
    total = torch.zeros_like(pondering.halt_logits[0])
    choices = zip(pondering.halt_logits, pondering.splits, strict=True)
    for logit, split in list(choices)[: pondering.steps - 1]:
        halts, goes_on = torch.isfinite(split.log_halt), torch.isfinite(split.log_keep)
        total = total + torch.where(halts, logsigmoid(logit), 0) + torch.where(goes_on, logsigmoid(-logit), 0)
    return total


def skip_halted(step: Stepper[Any, Any]) -> Stepper[Any, Any]:
    """The same step, run for rows that are alive only; the others' states stay, and they emit zeros.

    step: its logit is (B,); its state and output are tensors of B rows, or tuples, lists, dictionaries and
    named tuples of them.
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
    """Apply a function to the tensors that stand in the same places of trees."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)
    if isinstance(first, dict):
        return {key: _each(function, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple | list):
        parts = [_each(function, *branches) for branches in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return first
