"""Evaluation that does no work for rows that have halted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from inverse_graphics.halting.pondering import Step, Stepper


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
