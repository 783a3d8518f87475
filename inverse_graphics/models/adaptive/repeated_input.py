"""The same input, step after step: what a cell makes of it is computed once.

All cells get one input more than there are: a flag, 1 at the first step and 0 at the others, that tells a
new input from one that is thought about again (Graves 2016, equation 4).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from inverse_graphics.models.adaptive.cell_steps import Recurrent, lstm_step, rnn_step

State = Any
"""A tensor (B, H), or a tuple of tensors of B rows whose first is the hidden vector (B, H)."""


class Cell(Protocol):
    """A recurrent cell, such as `nn.RNNCell`, `nn.LSTMCell` or `nn.GRUCell`.  input_size: flag included."""

    input_size: int
    hidden_size: int

    def __call__(self, inputs: Tensor, state: State, /) -> State:
        """The next state.  inputs: (B, input_size)."""


class Drive(Protocol):
    """Steps a cell whose input stays the same; what is computed of that input once is its drive."""

    def drive(self, inputs: Tensor) -> Tensor:
        """What drives all steps but the first: (B, ...).  inputs: (B, input_size − 1)."""

    def flagged(self, drive: Tensor) -> Tensor:
        """What drives the first step."""

    def advance(self, drive: Tensor, state: State) -> State:
        """The next state."""


class AnyDrive:
    """Calls the cell; the drive is its input."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def drive(self, inputs: Tensor) -> Tensor:
        """The input and a flag of 0."""
        return pad(inputs, (0, 1))

    def flagged(self, drive: Tensor) -> Tensor:
        """The input and a flag of 1."""
        return pad(drive[:, :-1], (0, 1), value=1.0)

    def advance(self, drive: Tensor, state: State) -> State:
        """One call."""
        return self.cell(drive, state)


class _LinearDrive:
    """Of cells that add a linear map of the input to one of the hidden vector; the drive is the former.

    precision: of products with the recurrent matrix; the weights' own where it is None.
    """

    def __init__(self, cell: nn.RNNCellBase, precision: torch.dtype | None) -> None:
        self.cell = cell
        self.recurrent = Recurrent.of(cell.weight_hh, precision or cell.weight_hh.dtype)

    def drive(self, inputs: Tensor) -> Tensor:
        bias = self.cell.bias_ih + self.cell.bias_hh if self.cell.bias else None
        return linear(inputs, self.cell.weight_ih[:, :-1], bias)

    def flagged(self, drive: Tensor) -> Tensor:
        return drive + self.cell.weight_ih[:, -1]


class RnnDrive(_LinearDrive):
    """`nn.RNNCell` with tanh, with half of its work done beforehand."""

    def advance(self, drive: Tensor, state: Tensor) -> Tensor:
        """h ← tanh(W x + U h + b)."""
        return rnn_step(drive, state, self.recurrent)


class LstmDrive(_LinearDrive):
    """`nn.LSTMCell`, with the input's share of its gates computed beforehand."""

    def advance(self, drive: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The next hidden vector and cell."""
        return lstm_step(drive, *state, self.recurrent)


def drive_of(cell: nn.Module, precision: torch.dtype | None = None) -> Drive:
    """The fastest way of stepping a cell.

    precision: of products with the recurrent matrix, such as bfloat16, where the way has a choice.
    """
    if type(cell) is nn.RNNCell and cell.nonlinearity == "tanh":
        return RnnDrive(cell, precision)
    if type(cell) is nn.LSTMCell:
        return LstmDrive(cell, precision)
    return AnyDrive(cell)  # type: ignore[arg-type]


def first_state(cell: nn.Module, inputs: Tensor) -> State:
    """Zeros: what a cell knows before its first input."""
    hidden_size = cell.hidden_size
    assert isinstance(hidden_size, int)
    zeros = inputs.new_zeros(len(inputs), hidden_size)
    return (zeros, zeros) if isinstance(cell, nn.LSTMCell) else zeros


def hidden_of(state: State) -> Tensor:
    """The hidden vector of a state: (B, H)."""
    return state if isinstance(state, Tensor) else state[0]
