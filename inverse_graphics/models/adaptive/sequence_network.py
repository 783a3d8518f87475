"""A recurrent network with adaptive computation that predicts answers after each input of a sequence."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from inverse_graphics.halting import Halting, Pondering, steps_taken
from inverse_graphics.models.adaptive.act import ACT, Repeat
from inverse_graphics.models.adaptive.cells import State, hidden_of
from inverse_graphics.models.weights import register_network
from inverse_graphics.sequences.problems import SequenceProblem
from inverse_graphics.sequences.sequence_batch import SequenceBatch

CELLS: dict[str, type[nn.RNNCell | nn.LSTMCell | nn.GRUCell]] = {
    "rnn": nn.RNNCell,
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
}


class AdaptiveSettings(BaseModel):
    """Settings of the cell and of its number of steps.

    Attributes:
        repetitions: fixed number of steps for every input; None for adaptive computation.
        input_gain: factor on PyTorch's initial input weights. Their scale assumes as many inputs as hidden
            units, so one-hot inputs and single bits have little effect on the cell.
        recurrent_gain: the initial recurrent matrix of each gate is orthogonal, times this; None for
            PyTorch's initialisation, which multiplies the norm of vectors by about 0.58, so that after a few
            steps little information of the input remains (Saxe et al. 2014).
        precision: of products with the recurrent matrix in training; answers are computed in float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["adaptive"] = "adaptive"
    cell: Literal["rnn", "lstm", "gru"] = "rnn"
    hidden: int = Field(default=128, ge=1, le=8192, description="units of the cell")
    max_steps: int = Field(default=100, ge=1, le=10_000, description="largest number of steps for one input")
    halting_bias: float = Field(default=1.0, ge=-20, le=20, description="initial logit of halting")
    repetitions: int | None = Field(default=None, ge=1, le=10_000)
    input_gain: float = Field(default=1.0, gt=0, le=100)
    recurrent_gain: float | None = Field(default=None, gt=0, le=100)
    precision: Literal["float32", "bfloat16"] = "float32"


class SequenceNetworkSettings(BaseModel):
    """The problem and the settings of a network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: SequenceProblem
    model: AdaptiveSettings


class Sequences(NamedTuple):
    """A `SequenceBatch` without padding, as the network's input.

    Attributes:
        inputs: T tensors (B_t, I), of the sequences with an input at time t.
        targets: (M, K) int64, of all inputs, ordered by time, M = Σ B_t.
        difficulty: (M,) int64.
        row: (M,) int64, index of the sequence.
    """

    inputs: list[Tensor]
    targets: Tensor
    difficulty: Tensor
    row: Tensor

    def to(self, device: torch.device | str) -> Sequences:
        """The same on another device."""
        inputs = [at_time.to(device) for at_time in self.inputs]
        return Sequences(inputs, self.targets.to(device), self.difficulty.to(device), self.row.to(device))

    @classmethod
    def from_batch(cls, batch: SequenceBatch) -> Sequences:
        """Remove the padding."""
        inputs = torch.from_numpy(batch.inputs)
        valid = torch.from_numpy(batch.valid)
        rows = torch.arange(valid.shape[1]).expand_as(valid)
        return cls(
            [at_time[:number] for at_time, number in zip(inputs, batch.rows, strict=True)],
            torch.from_numpy(batch.targets)[valid],
            torch.from_numpy(batch.difficulty)[valid],
            rows[valid],
        )


class SequenceOutput(NamedTuple):
    """The output of a network.

    Attributes:
        logits: (M, K, C), after each input, ordered by time; for two classes C is 1, the logit of the second.
        ponderings: T, each of the B_t sequences with an input at time t.
    """

    logits: Tensor
    ponderings: list[Pondering[State]]

    @property
    def steps(self) -> Tensor:
        """The number of steps of each input: (M,)."""
        return torch.cat([steps_taken(pondering) for pondering in self.ponderings])

    @property
    def classes(self) -> Tensor:
        """The most probable answers: (M, K) int64."""
        if self.logits.shape[-1] == 1:
            return (self.logits[..., 0] > 0).long()
        return self.logits.argmax(-1)


@register_network("adaptive", SequenceNetworkSettings)
class SequenceNetwork(nn.Module):
    """A cell with adaptive or fixed computation, and a linear map from its hidden vector to answers."""

    def __init__(self, settings: SequenceNetworkSettings) -> None:
        super().__init__()
        problem, model = settings.problem, settings.model
        self.settings, self.answers = model, problem.answers
        cell = CELLS[model.cell](problem.inputs + 1, model.hidden)
        with torch.no_grad():
            cell.weight_ih.mul_(model.input_gain)
            if model.recurrent_gain is not None:
                for gate in torch.split(cell.weight_hh, model.hidden):
                    nn.init.orthogonal_(gate, model.recurrent_gain)
        precision = torch.bfloat16 if model.precision == "bfloat16" else None
        self.adaptive_cell: ACT | Repeat = (
            ACT(cell, max_steps=model.max_steps, halting_bias=model.halting_bias, precision=precision)
            if model.repetitions is None
            else Repeat(cell, model.repetitions, precision)
        )
        self.answer = nn.Linear(
            model.hidden, problem.answers * (1 if problem.classes == 2 else problem.classes)
        )

    def forward(
        self,
        inputs: list[Tensor],
        halting: Halting | None = None,
        generator: torch.Generator | None = None,
        min_steps: int = 0,
    ) -> SequenceOutput:
        """Process sequences, input by input.

        Args:
            inputs: T tensors (B_t, I).
            halting: as for `ACT`.
            generator: as for `ACT`.
            min_steps: as for `ACT`.
        """
        state: State | None = None
        hidden, ponderings = [], []
        for current in inputs:
            state = None if state is None else _first(state, len(current))
            if isinstance(self.adaptive_cell, Repeat):
                state, pondering = self.adaptive_cell(current, state)
            else:
                state, pondering = self.adaptive_cell(
                    current, state, halting=halting, generator=generator, min_steps=min_steps
                )
            hidden.append(hidden_of(state))
            ponderings.append(pondering)
        logits = self.answer(torch.cat(hidden))
        return SequenceOutput(logits.reshape(len(logits), self.answers, -1), ponderings)


def _first(state: State, rows: int) -> State:
    """The state of the first `rows` sequences."""
    return state[:rows] if isinstance(state, Tensor) else tuple(part[:rows] for part in state)
