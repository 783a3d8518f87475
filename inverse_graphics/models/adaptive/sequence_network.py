"""A network that reads a sequence, thinks about each input, and answers after it."""

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
    """A cell, and how long it may think.

    repetitions: the steps that it takes for every input; None where it decides by itself.
    input_gain: by what the cell's input weights are larger at the start than PyTorch draws them. They are
    drawn for as many inputs as hidden units, and one-hot inputs and single bits then hardly bend the cell.
    recurrent_gain: the recurrent matrix, that of each gate, is orthogonal at the start, times this; None for
    PyTorch's draw, which makes vectors about 0.58 times as long, so that after a few steps little is left of
    what the input said (Saxe et al. 2014).
    precision: of products with the recurrent matrix in training; answers are computed in float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["adaptive"] = "adaptive"
    cell: Literal["rnn", "lstm", "gru"] = "rnn"
    hidden: int = Field(default=128, ge=1, le=8192, description="units of the cell")
    max_steps: int = Field(default=100, ge=1, le=10_000, description="steps for one input, at most")
    halting_bias: float = Field(default=1.0, ge=-20, le=20, description="logit of halting at the start")
    repetitions: int | None = Field(default=None, ge=1, le=10_000)
    input_gain: float = Field(default=1.0, gt=0, le=100)
    recurrent_gain: float | None = Field(default=None, gt=0, le=100)
    precision: Literal["float32", "bfloat16"] = "float32"


class SequenceNetworkSettings(BaseModel):
    """What a network is for, and what it is like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: SequenceProblem
    model: AdaptiveSettings


class Sequences(NamedTuple):
    """A `SequenceBatch` as the network takes it: what there is of it, one input after the other.

    inputs: T tensors (B_t, I), of the sequences that are not over.  targets: (M, K) int64, of all inputs,
    time by time, M = Σ B_t.  difficulty: (M,) int64.  row: (M,) int64, which sequence each is of.
    """

    inputs: list[Tensor]
    targets: Tensor
    difficulty: Tensor
    row: Tensor

    @classmethod
    def from_batch(cls, batch: SequenceBatch) -> Sequences:
        """Leave out what is beyond the ends of sequences."""
        inputs = torch.from_numpy(batch.inputs)
        valid = torch.from_numpy(batch.valid)
        rows = torch.arange(valid.shape[1]).expand_as(valid)
        return cls(
            [at_time[:number] for at_time, number in zip(inputs, batch.rows, strict=True)],
            torch.from_numpy(batch.targets)[valid],
            torch.from_numpy(batch.difficulty)[valid],
            rows[valid],
        )


class Answers(NamedTuple):
    """What a network says of sequences.

    logits: (M, K, C), after each input, time by time; C is 1 where there are two classes, then it is the
    logit of the second.  ponderings: T, of the B_t sequences that were not over.
    """

    logits: Tensor
    ponderings: list[Pondering[State]]

    @property
    def steps(self) -> Tensor:
        """How many steps each input took: (M,)."""
        return torch.cat([steps_taken(pondering) for pondering in self.ponderings])

    @property
    def classes(self) -> Tensor:
        """The most probable answers: (M, K) int64."""
        if self.logits.shape[-1] == 1:
            return (self.logits[..., 0] > 0).long()
        return self.logits.argmax(-1)


@register_network("adaptive", SequenceNetworkSettings)
class SequenceNetwork(nn.Module):
    """A cell that thinks, and a linear map from its hidden vector to answers."""

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
        self.think: ACT | Repeat = (
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
    ) -> Answers:
        """Think about sequences, input by input; halting and what follows as for `ACT`."""
        state: State | None = None
        hidden, ponderings = [], []
        for current in inputs:
            state = None if state is None else _first(state, len(current))
            if isinstance(self.think, Repeat):
                state, pondering = self.think(current, state)
            else:
                state, pondering = self.think(
                    current, state, halting=halting, generator=generator, min_steps=min_steps
                )
            hidden.append(hidden_of(state))
            ponderings.append(pondering)
        logits = self.answer(torch.cat(hidden))
        return Answers(logits.reshape(len(logits), self.answers, -1), ponderings)


def _first(state: State, rows: int) -> State:
    """The state of the first so many sequences."""
    return state[:rows] if isinstance(state, Tensor) else tuple(part[:rows] for part in state)
