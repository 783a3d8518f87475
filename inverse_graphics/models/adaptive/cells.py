"""Recurrent cells that are stepped repeatedly on the same input.

The projection of the input (the contribution of the input and the biases to the gates) is computed once per
input. All cells have one additional input, a flag that is 1 at the first step and 0 at the others and so
distinguishes a new input from a repeated one (Graves 2016, equation 4).

One step of PyTorch's RNN and LSTM cells is a single autograd function here, as most of the time of small
cells is spent in autograd. Products with the recurrent matrix may be rounded to a lower precision; sums over
steps, gates and states are not. tanh x is computed as 2 σ(2 x) − 1, as PyTorch's sigmoid is many times faster
than its tanh on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, pad


class Recurrent(NamedTuple):
    """A recurrent matrix: the trained one, and the one used in products, (H, G) each.

    Attributes:
        exact: with gradient.
        rounded: the same, without gradient, possibly of lower precision.
    """

    exact: Tensor
    rounded: Tensor

    @classmethod
    def from_weight(cls, weight: Tensor, precision: torch.dtype) -> Recurrent:
        """Transpose and round a weight.

        Args:
            weight: (G, H), as PyTorch's cells store it.
        """
        return cls(weight.mT, weight.detach().to(precision).mT)


def rnn_step(projected: Tensor, hidden: Tensor, recurrent: Recurrent) -> Tensor:
    """h ← tanh(projected + h W): (B, H).

    Args:
        projected: (B, H).
        hidden: (B, H).
        recurrent: W, (H, H).
    """
    return _RnnStep.apply(projected, hidden, *recurrent)  # type: ignore[no-untyped-call]


def lstm_step(projected: Tensor, hidden: Tensor, cell: Tensor, recurrent: Recurrent) -> tuple[Tensor, Tensor]:
    """c ← f c + i g, h ← o tanh(c): (B, H) each.

    Args:
        projected: (B, 4 H), gates in PyTorch's order i, f, g, o.
        hidden: (B, H).
        cell: (B, H).
        recurrent: (H, 4 H).
    """
    return _LstmStep.apply(projected, hidden, cell, *recurrent)  # type: ignore[no-untyped-call]


def _tanh(x: Tensor) -> Tensor:
    return torch.sigmoid(2 * x).mul_(2).sub_(1)


def _add_recurrent(projected: Tensor, hidden: Tensor, rounded: Tensor) -> Tensor:
    if projected.dtype == rounded.dtype:
        return torch.addmm(projected, hidden, rounded)
    return projected + hidden.to(rounded.dtype) @ rounded


class _RnnStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, hidden: Tensor, _: Tensor, rounded: Tensor) -> Tensor:
        after = _tanh(_add_recurrent(projected, hidden, rounded))
        ctx.save_for_backward(hidden, rounded, after)
        return after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, rounded, after = ctx.saved_tensors
        grad_sum = torch.ops.aten.tanh_backward(grad, after)
        return grad_sum, *_product_gradients(grad_sum, hidden, rounded, ctx.needs_input_grad[1:3]), None


class _LstmStep(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, hidden: Tensor, cell: Tensor, _: Tensor, rounded: Tensor
    ) -> tuple[Tensor, Tensor]:
        gates = _add_recurrent(projected, hidden, rounded)
        gates.chunk(4, -1)[2].mul_(2)  # the candidate's is a tanh
        gates.sigmoid_()
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, -1)
        after = (forget_gate * cell).addcmul_(input_gate, 2 * candidate - 1)
        activated = _tanh(after)
        ctx.save_for_backward(hidden, cell, rounded, gates, activated)
        return output_gate * activated, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_hidden: Tensor, grad_after: Tensor) -> tuple[Tensor | None, ...]:
        hidden, cell, rounded, gates, activated = ctx.saved_tensors
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, -1)
        grad_cell = grad_after + torch.ops.aten.tanh_backward(grad_hidden * output_gate, activated)
        grad_gates = torch.empty_like(gates)
        grad_input, grad_forget, grad_candidate, grad_output = grad_gates.chunk(4, -1)
        torch.mul(grad_cell, 2 * candidate - 1, out=grad_input)
        torch.mul(grad_cell, cell, out=grad_forget)
        torch.mul(grad_cell, 4 * input_gate, out=grad_candidate)  # d tanh x = 4 σ(2 x) (1 − σ(2 x))
        torch.mul(grad_hidden, activated, out=grad_output)
        grad_gates = torch.ops.aten.sigmoid_backward(grad_gates, gates)
        needed = ctx.needs_input_grad[1], ctx.needs_input_grad[3]
        grad_before, grad_weight = _product_gradients(grad_gates, hidden, rounded, needed)
        return grad_gates, grad_before, grad_cell * forget_gate, grad_weight, None


def _product_gradients(
    grad_sum: Tensor, hidden: Tensor, rounded: Tensor, needed: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of h W with respect to h and W, where they are needed."""
    low = grad_sum.to(rounded.dtype)
    grad_hidden = (low @ rounded.mT).to(grad_sum.dtype) if needed[0] else None
    grad_weight = (hidden.to(rounded.dtype).mT @ low).to(grad_sum.dtype) if needed[1] else None
    return grad_hidden, grad_weight


State = Any
"""A tensor (B, H), or a tuple of tensors of B rows whose first is the hidden vector (B, H)."""


class Cell(Protocol):
    """A recurrent cell, such as `nn.RNNCell`, `nn.LSTMCell` or `nn.GRUCell`; input_size includes the flag."""

    input_size: int
    hidden_size: int

    def __call__(self, inputs: Tensor, state: State, /) -> State:
        """Compute the next state.

        Args:
            inputs: (B, input_size).
            state: after the step before.
        """


class InputProjection(Protocol):
    """Steps a cell on a constant input, whose projection is computed once."""

    def projected(self, inputs: Tensor) -> Tensor:
        """The projection for all steps but the first: (B, ...).

        Args:
            inputs: (B, input_size − 1).
        """

    def with_flag(self, projected: Tensor) -> Tensor:
        """The projection for the first step."""

    def advance(self, projected: Tensor, state: State) -> State:
        """Compute the next state."""


class AnyInputProjection:
    """Calls the cell; the projection is its input."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def projected(self, inputs: Tensor) -> Tensor:
        """The input with a flag of 0."""
        return pad(inputs, (0, 1))

    def with_flag(self, projected: Tensor) -> Tensor:
        """The input with a flag of 1."""
        return pad(projected[:, :-1], (0, 1), value=1.0)

    def advance(self, projected: Tensor, state: State) -> State:
        """Call the cell."""
        return self.cell(projected, state)


class _LinearInputProjection:
    """For cells that add a linear map of the input, which is the projection, to one of the hidden vector.

    Args:
        cell: the cell.
        precision: of products with the recurrent matrix; by default that of the weights.
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
    """`nn.RNNCell` with tanh, with the input's part precomputed."""

    def advance(self, projected: Tensor, state: Tensor) -> Tensor:
        """h ← tanh(W x + U h + b)."""
        return rnn_step(projected, state, self.recurrent)


class LstmInputProjection(_LinearInputProjection):
    """`nn.LSTMCell`, with the input's part of its gates precomputed."""

    def advance(self, projected: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the next hidden vector and cell."""
        return lstm_step(projected, *state, self.recurrent)


def input_projection(cell: nn.Module, precision: torch.dtype | None = None) -> InputProjection:
    """Choose the fastest implementation for a cell.

    Args:
        cell: the cell.
        precision: of products with the recurrent matrix, such as bfloat16, where the implementation supports
            it.
    """
    if type(cell) is nn.RNNCell and cell.nonlinearity == "tanh":
        return RnnInputProjection(cell, precision)
    if type(cell) is nn.LSTMCell:
        return LstmInputProjection(cell, precision)
    return AnyInputProjection(cell)  # type: ignore[arg-type]


def first_state(cell: nn.Module, inputs: Tensor) -> State:
    """The zero state of a cell, for B inputs (B, ...)."""
    hidden_size = cell.hidden_size
    assert isinstance(hidden_size, int)
    zeros = inputs.new_zeros(len(inputs), hidden_size)
    return (zeros, zeros) if isinstance(cell, nn.LSTMCell) else zeros


def hidden_of(state: State) -> Tensor:
    """The hidden vector of a state: (B, H)."""
    return state if isinstance(state, Tensor) else state[0]
