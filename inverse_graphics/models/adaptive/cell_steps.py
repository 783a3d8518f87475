"""One step of PyTorch's cells as one operation each: most of the time of small ones goes into autograd.

The drive holds what the input and the biases add to the gates. Products with the recurrent matrix may be
rounded to a lower precision; sums over steps, gates and states are not.

tanh x is computed as 2 σ(2 x) − 1: PyTorch's sigmoid is many times faster than its tanh on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def rnn_step(drive: Tensor, hidden: Tensor, weight: Tensor, precision: torch.dtype) -> Tensor:
    """h ← tanh(drive + h W): (B, H).  drive: (B, H).  weight: (H, H)."""
    return _RnnStep.apply(drive, hidden, weight, precision)  # type: ignore[no-untyped-call]


def lstm_step(
    drive: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor, precision: torch.dtype
) -> tuple[Tensor, Tensor]:
    """c ← f c + i g, h ← o tanh(c): (B, H) each.  drive: (B, 4 H), gates in PyTorch's order i, f, g, o."""
    return _LstmStep.apply(drive, hidden, cell, weight, precision)  # type: ignore[no-untyped-call]


def _tanh(x: Tensor) -> Tensor:
    return torch.sigmoid(2 * x).mul_(2).sub_(1)


def _product(one: Tensor, other: Tensor, precision: torch.dtype) -> Tensor:
    if one.dtype == precision:
        return one @ other
    return (one.to(precision) @ other.to(precision)).to(one.dtype)


def _driven(drive: Tensor, hidden: Tensor, weight: Tensor, precision: torch.dtype) -> Tensor:
    if drive.dtype == precision:
        return torch.addmm(drive, hidden, weight)
    return _product(hidden, weight, precision).add_(drive)


class _RnnStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drive: Tensor, hidden: Tensor, weight: Tensor, precision: torch.dtype) -> Tensor:
        after = _tanh(_driven(drive, hidden, weight, precision))
        ctx.save_for_backward(hidden, weight, after)
        ctx.precision = precision
        return after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, after = ctx.saved_tensors
        at_sum = torch.ops.aten.tanh_backward(slope, after)
        return at_sum, *_slopes_of_product(ctx, at_sum, hidden, weight, 1), None


class _LstmStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor, precision: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        gates = _driven(drive, hidden, weight, precision)
        gates.chunk(4, -1)[2].mul_(2)  # the candidate's is a tanh
        gates.sigmoid_()
        let_in, keep, candidate, let_out = gates.chunk(4, -1)
        after = (keep * cell).addcmul_(let_in, 2 * candidate - 1)
        bent = _tanh(after)
        ctx.save_for_backward(hidden, cell, weight, gates, bent)
        ctx.precision = precision
        return let_out * bent, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope_hidden: Tensor, slope_after: Tensor) -> tuple[Tensor | None, ...]:
        hidden, cell, weight, gates, bent = ctx.saved_tensors
        let_in, keep, candidate, let_out = gates.chunk(4, -1)
        at_cell = slope_after + torch.ops.aten.tanh_backward(slope_hidden * let_out, bent)
        at_gates = torch.empty_like(gates)
        for_in, for_keep, for_candidate, for_out = at_gates.chunk(4, -1)
        torch.mul(at_cell, 2 * candidate - 1, out=for_in)
        torch.mul(at_cell, cell, out=for_keep)
        torch.mul(at_cell, 4 * let_in, out=for_candidate)  # d tanh x = 4 σ(2 x) (1 − σ(2 x))
        torch.mul(slope_hidden, bent, out=for_out)
        at_gates = torch.ops.aten.sigmoid_backward(at_gates, gates)
        at_hidden, at_weight = _slopes_of_product(ctx, at_gates, hidden, weight, 1)
        return at_gates, at_hidden, at_cell * keep, at_weight, None


def _slopes_of_product(
    ctx: Any, at_sum: Tensor, hidden: Tensor, weight: Tensor, position: int
) -> tuple[Tensor | None, Tensor | None]:
    """Of h W with respect to h and W, where they are wanted.  position: of h among the inputs."""
    wanted = ctx.needs_input_grad
    at_hidden = _product(at_sum, weight.mT, ctx.precision) if wanted[position] else None
    at_weight = _product(hidden.mT, at_sum, ctx.precision) if any(wanted[position + 1 :]) else None
    return at_hidden, at_weight
