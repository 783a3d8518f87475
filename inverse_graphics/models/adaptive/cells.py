"""One step of PyTorch's cells as one operation each: most of the time of small ones goes into autograd.

The drive holds what the input and the biases add to the gates. Products with the recurrent matrix may be
rounded to a lower precision; sums over steps, gates and states are not.

tanh x is computed as 2 σ(2 x) − 1: PyTorch's sigmoid is many times faster than its tanh on the CPU.

The same input, step after step: what a cell makes of it is computed once.

All cells get one input more than there are: a flag, 1 at the first step and 0 at the others, that tells a
new input from one that is output about again (Graves 2016, equation 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, pad


class Recurrent(NamedTuple):
    """A recurrent matrix: as it learns, and as it is multiplied by, (H, G) each.

    rounded: the same, without gradient, perhaps of lower precision.
    """

    exact: Tensor
    rounded: Tensor

    @classmethod
    def from_weight(cls, weight: Tensor, precision: torch.dtype) -> Recurrent:
        """weight: (G, H), as PyTorch's cells keep it."""
        return cls(weight.mT, weight.detach().to(precision).mT)


def rnn_step(projected: Tensor, hidden: Tensor, recurrent: Recurrent) -> Tensor:
    """h ← tanh(drive + h W): (B, H).  projected: (B, H).  W: (H, H)."""
    return _RnnStep.apply(projected, hidden, *recurrent)  # type: ignore[no-untyped-call]


def lstm_step(projected: Tensor, hidden: Tensor, cell: Tensor, recurrent: Recurrent) -> tuple[Tensor, Tensor]:
    """c ← f c + i g, h ← o tanh(c): (B, H) each.  projected: (B, 4 H), gates in PyTorch's order i, f, g,
    o."""
    return _LstmStep.apply(projected, hidden, cell, *recurrent)  # type: ignore[no-untyped-call]


def _tanh(x: Tensor) -> Tensor:
    return torch.sigmoid(2 * x).mul_(2).sub_(1)


def _projected(projected: Tensor, hidden: Tensor, rounded: Tensor) -> Tensor:
    if projected.dtype == rounded.dtype:
        return torch.addmm(projected, hidden, rounded)
    return projected + hidden.to(rounded.dtype) @ rounded


class _RnnStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, hidden: Tensor, _: Tensor, rounded: Tensor) -> Tensor:
        after = _tanh(_projected(projected, hidden, rounded))
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
        ctx: Any, projected: Tensor, hidden: Tensor, cell: Tensor, _: Tensor, rounded: Tensor
    ) -> tuple[Tensor, Tensor]:
        gates = _projected(projected, hidden, rounded)
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


State = Any
"""A tensor (B, H), or a tuple of tensors of B rows whose first is the hidden vector (B, H)."""


class Cell(Protocol):
    """A recurrent cell, such as `nn.RNNCell`, `nn.LSTMCell` or `nn.GRUCell`.  input_size: flag included."""

    input_size: int
    hidden_size: int

    def __call__(self, inputs: Tensor, state: State, /) -> State:
        """The next state.  inputs: (B, input_size)."""


class InputProjection(Protocol):
    """Steps a cell whose input stays the same; what is computed of that input once is its drive."""

    def projected(self, inputs: Tensor) -> Tensor:
        """What drives all steps but the first: (B, ...).  inputs: (B, input_size − 1)."""

    def with_flag(self, projected: Tensor) -> Tensor:
        """What drives the first step."""

    def advance(self, projected: Tensor, state: State) -> State:
        """The next state."""


class AnyInputProjection:
    """Calls the cell; the drive is its input."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def projected(self, inputs: Tensor) -> Tensor:
        """The input and a flag of 0."""
        return pad(inputs, (0, 1))

    def with_flag(self, projected: Tensor) -> Tensor:
        """The input and a flag of 1."""
        return pad(projected[:, :-1], (0, 1), value=1.0)

    def advance(self, projected: Tensor, state: State) -> State:
        """One call."""
        return self.cell(projected, state)


class _LinearInputProjection:
    """Of cells that add a linear map of the input to one of the hidden vector; the drive is the former.

    precision: of products with the recurrent matrix; the weights' own where it is None.
    """

    def __init__(self, cell: nn.RNNCellBase, precision: torch.dtype | None) -> None:
        self.cell = cell
        self.recurrent = Recurrent.from_weight(cell.weight_hh, precision or cell.weight_hh.dtype)

    def projected(self, inputs: Tensor) -> Tensor:
        bias = self.cell.bias_ih + self.cell.bias_hh if self.cell.bias else None
        return linear(inputs, self.cell.weight_ih[:, :-1], bias)

    def with_flag(self, projected: Tensor) -> Tensor:
        return projected + self.cell.weight_ih[:, -1]


class RnnInputProjection(_LinearInputProjection):
    """`nn.RNNCell` with tanh, with half of its work done beforehand."""

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        """h ← tanh(W x + U h + b)."""
        return rnn_step(projected, state, self.recurrent)


class LstmInputProjection(_LinearInputProjection):
    """`nn.LSTMCell`, with the input's share of its gates computed beforehand."""

    def advance(self, projected: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The next hidden vector and cell."""
        return lstm_step(projected, *state, self.recurrent)


def input_projection(cell: nn.Module, precision: torch.dtype | None = None) -> InputProjection:
    """The fastest way of stepping a cell.

    precision: of products with the recurrent matrix, such as bfloat16, where the way has a choice.
    """
    if type(cell) is nn.RNNCell and cell.nonlinearity == "tanh":
        return RnnInputProjection(cell, precision)
    if type(cell) is nn.LSTMCell:
        return LstmInputProjection(cell, precision)
    return AnyInputProjection(cell)  # type: ignore[arg-type]


def first_state(cell: nn.Module, inputs: Tensor) -> State:
    """Zeros: what a cell knows before its first input."""
    hidden_size = cell.hidden_size
    assert isinstance(hidden_size, int)
    zeros = inputs.new_zeros(len(inputs), hidden_size)
    return (zeros, zeros) if isinstance(cell, nn.LSTMCell) else zeros


def hidden_of(state: State) -> Tensor:
    """The hidden vector of a state: (B, H)."""
    return state if isinstance(state, Tensor) else state[0]
