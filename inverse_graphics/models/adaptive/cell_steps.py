"""One step of PyTorch's cells as one operation each: most of the time of small ones goes into autograd.

The drive holds what the input and the biases add to the gates. Products with the recurrent matrix may be
rounded to a lower precision; sums over steps, gates and states are not.

tanh x is computed as 2 σ(2 x) − 1: PyTorch's sigmoid is many times faster than its tanh on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Recurrent(NamedTuple):
    """A recurrent matrix: as it learns, and as it is multiplied by, (H, G) each.

    rounded: the same, without gradient, perhaps of lower precision.
    """

    exact: Tensor
    rounded: Tensor

    @classmethod
    def of(cls, weight: Tensor, precision: torch.dtype) -> Recurrent:
        """weight: (G, H), as PyTorch's cells keep it."""
        return cls(weight.mT, weight.detach().to(precision).mT)


def rnn_step(drive: Tensor, hidden: Tensor, recurrent: Recurrent) -> Tensor:
    """h ← tanh(drive + h W): (B, H).  drive: (B, H).  W: (H, H)."""
    return _RnnStep.apply(drive, hidden, *recurrent)  # type: ignore[no-untyped-call]


def lstm_step(drive: Tensor, hidden: Tensor, cell: Tensor, recurrent: Recurrent) -> tuple[Tensor, Tensor]:
    """c ← f c + i g, h ← o tanh(c): (B, H) each.  drive: (B, 4 H), gates in PyTorch's order i, f, g, o."""
    return _LstmStep.apply(drive, hidden, cell, *recurrent)  # type: ignore[no-untyped-call]


def _tanh(x: Tensor) -> Tensor:
    return torch.sigmoid(2 * x).mul_(2).sub_(1)


def _driven(drive: Tensor, hidden: Tensor, rounded: Tensor) -> Tensor:
    if drive.dtype == rounded.dtype:
        return torch.addmm(drive, hidden, rounded)
    return drive + hidden.to(rounded.dtype) @ rounded


class _RnnStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drive: Tensor, hidden: Tensor, _: Tensor, rounded: Tensor) -> Tensor:
        after = _tanh(_driven(drive, hidden, rounded))
        ctx.save_for_backward(hidden, rounded, after)
        return after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        hidden, rounded, after = ctx.saved_tensors
        at_sum = torch.ops.aten.tanh_backward(slope, after)
        return at_sum, *_slopes_of_product(at_sum, hidden, rounded, ctx.needs_input_grad[1:3]), None


class _LstmStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, hidden: Tensor, cell: Tensor, _: Tensor, rounded: Tensor
    ) -> tuple[Tensor, Tensor]:
        gates = _driven(drive, hidden, rounded)
        gates.chunk(4, -1)[2].mul_(2)  # the candidate's is a tanh
        gates.sigmoid_()
        let_in, keep, candidate, let_out = gates.chunk(4, -1)
        after = (keep * cell).addcmul_(let_in, 2 * candidate - 1)
        bent = _tanh(after)
        ctx.save_for_backward(hidden, cell, rounded, gates, bent)
        return let_out * bent, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_hidden: Tensor, slope_after: Tensor) -> tuple[Tensor | None, ...]:
        hidden, cell, rounded, gates, bent = ctx.saved_tensors
        let_in, keep, candidate, let_out = gates.chunk(4, -1)
        at_cell = slope_after + torch.ops.aten.tanh_backward(slope_hidden * let_out, bent)
        at_gates = torch.empty_like(gates)
        for_in, for_keep, for_candidate, for_out = at_gates.chunk(4, -1)
        torch.mul(at_cell, 2 * candidate - 1, out=for_in)
        torch.mul(at_cell, cell, out=for_keep)
        torch.mul(at_cell, 4 * let_in, out=for_candidate)  # d tanh x = 4 σ(2 x) (1 − σ(2 x))
        torch.mul(slope_hidden, bent, out=for_out)
        at_gates = torch.ops.aten.sigmoid_backward(at_gates, gates)
        wanted = ctx.needs_input_grad[1], ctx.needs_input_grad[3]
        at_hidden, at_weight = _slopes_of_product(at_gates, hidden, rounded, wanted)
        return at_gates, at_hidden, at_cell * keep, at_weight, None


def _slopes_of_product(
    at_sum: Tensor, hidden: Tensor, rounded: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Of h W with respect to h and W, where they are wanted."""
    low = at_sum.to(rounded.dtype)
    at_hidden = (low @ rounded.mT).to(at_sum.dtype) if wanted[0] else None
    at_weight = (hidden.to(rounded.dtype).mT @ low).to(at_sum.dtype) if wanted[1] else None
    return at_hidden, at_weight
