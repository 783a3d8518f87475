"""Adaptive computation time for any recurrent cell: the number of steps depends on the input.

    cell = nn.LSTMCell(inputs + 1, hidden)          # one more input: the flag of the first step
    act = ACT(cell)
    state, pondering = act(x)                       # x: (B, inputs)
    loss = task_loss(hidden_of(state)) + tau * ponder_cost(pondering).mean()

A module that is trained with one differentiable rule can be evaluated with any other, as in
`act(x, halting=Thresholded())`.

Source: Graves 2016, "Adaptive Computation Time for Recurrent Neural Networks"; with `Relaxed` or `Discrete`
samples, the recurrent network of Figurnov et al. 2018, "Probabilistic Adaptive Computation Time".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from inverse_graphics.halting import Pondering, Step, log_weights, ponder, select, skip_halted
from inverse_graphics.halting.rules import Accumulated, Halting, Thresholded
from inverse_graphics.models.adaptive.cells import State, first_state, hidden_of, input_projection


class AdaptiveOutput(NamedTuple):
    """The state that was selected after the steps on an input, and these steps.

    Outputs that are linear in the hidden vector may be computed from the selected state, as the weights sum
    to one.
    """

    state: State
    pondering: Pondering[State]


class ACT(nn.Module):
    """A recurrent cell that takes 1 to `max_steps` steps for each input.

    Args:
        cell: a cell of PyTorch's, or any other with input_size and hidden_size that is called with inputs and
            state (`cells.Cell`); its input_size includes the flag of the first step.
        max_steps: largest number of steps per input.
        halting: the default rule.
        halting_bias: initial bias of the halting logit; the larger, the fewer steps.
        precision: of products with the recurrent matrix in training, such as bfloat16; without gradients they
            always have the precision of the weights.
    """

    def __init__(
        self,
        cell: nn.Module,
        *,
        max_steps: int = 100,
        halting: Halting | None = None,
        halting_bias: float = 1.0,
        precision: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.precision = precision
        self.cell, self.max_steps = cell, max_steps
        self.halting = halting or Accumulated()
        self.halt = nn.Linear(cell.hidden_size, 1)  # type: ignore[arg-type]
        nn.init.constant_(self.halt.bias, halting_bias)

    def forward(
        self,
        inputs: Tensor,
        state: State | None = None,
        *,
        halting: Halting | None = None,
        generator: torch.Generator | None = None,
        min_steps: int = 0,
    ) -> AdaptiveOutput:
        """Process B inputs.

        Without gradients, rows that have halted are not computed.

        Args:
            inputs: (B, input_size − 1).
            state: after the previous inputs; zeros by default.
            halting: in place of the default rule.
            generator: for rules that sample.
            min_steps: steps that are run even if all rows have halted, for callers that need their logits.
        """
        projected, rule = input_projection(self.cell, _training(self.precision)), halting or self.halting
        steady = projected.projected(inputs)

        def step(carried: tuple[Tensor, State], index: int, _: Tensor | None) -> Step[State, State]:
            projected_input, before = carried
            after = projected.advance(
                projected_input if index else projected.with_flag(projected_input), before
            )
            logit = torch.addmv(self.halt.bias, hidden_of(after), self.halt.weight[0])
            return Step(logit, after, (projected_input, after))

        start = (steady, first_state(self.cell, inputs) if state is None else state)
        stepper = step if torch.is_grad_enabled() else skip_halted(step)
        pondering = ponder(stepper, start, self.max_steps, rule, generator, min_steps=min_steps)
        return AdaptiveOutput(_selected(pondering), pondering)


class Repeat(nn.Module):
    """A recurrent cell that takes the same number of steps for each input, the baseline of ACT.

    Args:
        cell: as for `ACT`.
        steps: ρ, for each input.
        precision: as for `ACT`. Source: Fojo et al. 2018, "Comparing Fixed and Adaptive Computation Time for
            Recurrent Neural Networks".
    """

    def __init__(self, cell: nn.Module, steps: int = 1, precision: torch.dtype | None = None) -> None:
        super().__init__()
        self.cell, self.steps, self.precision = cell, steps, precision

    def forward(self, inputs: Tensor, state: State | None = None) -> AdaptiveOutput:
        """Process B inputs.

        Args:
            inputs: (B, input_size − 1).
            state: after the previous inputs; zeros by default.
        """
        projected = input_projection(self.cell, _training(self.precision))
        steady, never = projected.projected(inputs), inputs.new_full((len(inputs),), -torch.inf)

        def step(before: State, index: int, _: Tensor | None) -> Step[State, State]:
            after = projected.advance(steady if index else projected.with_flag(steady), before)
            return Step(never, after, after)

        start = first_state(self.cell, inputs) if state is None else state
        pondering = ponder(step, start, self.steps, Thresholded())
        return AdaptiveOutput(pondering.outputs[-1], pondering)


def _training(precision: torch.dtype | None) -> torch.dtype | None:
    return precision if torch.is_grad_enabled() else None


def _selected(pondering: Pondering[State]) -> State:
    """The weighted mean of the states after each step, for each tensor of the state."""
    weights, states = log_weights(pondering), pondering.outputs
    if isinstance(states[0], Tensor):
        return select(weights, states)
    return tuple(select(weights, part) for part in zip(*states, strict=True))
