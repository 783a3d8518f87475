"""Losses of residual networks: SACT, PSACT by relaxed samples or by the score function, and the task's alone.

Units cost as steps do in sequence networks (`adaptive.sequence_objectives`), with τ / (H · W) for each
position of a block's map: τ for a unit that runs everywhere. PSACT maximises
E_q[ log p(y | x, z) + log p(z) ], where the prior of each position's number of units is geometric and
truncated at the number of the block's units, p(n) ∝ exp(−τ n / (H · W)).

All are means over images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inverse_graphics.halting import (
    Discrete,
    Halting,
    Pondering,
    conditional_expected_steps,
    expected_steps,
    log_probability,
    ponder_cost,
)
from inverse_graphics.models.adaptive.settings import (
    ActObjective,
    AdaptiveObjectiveSettings,
    PlainObjective,
    ReinforceObjective,
    RelaxedObjective,
)
from inverse_graphics.models.residual.block import BlockKind
from inverse_graphics.models.residual.network import NetworkOutput, ResidualNetwork

LoggedValues = Mapping[str, Tensor | float]
Kinds = list[BlockKind]


class Labelled(NamedTuple):
    """Images (B, channels, S, S) in [0, 1], and their classes (B,) int64."""

    images: Tensor
    classes: Tensor

    def to(self, device: torch.device | str) -> Labelled:
        """The same on another device."""
        return Labelled(self.images.to(device), self.classes.to(device))


class ResidualObjective(nn.Module):
    """The loss of a network; its state, if it has any, is saved in checkpoints.

    Args:
        network: the network.
        settings: of the objective.
        kinds: the blocks' kinds, by default those of the network's settings; their rules are replaced by the
            objective's.
    """

    def __init__(
        self, network: ResidualNetwork, settings: AdaptiveObjectiveSettings, kinds: Kinds | None = None
    ) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self.kinds = list(network.kinds(kinds))

    def loss(self, batch: Labelled, generator: torch.Generator) -> tuple[Tensor, LoggedValues]:
        """Compute the scalar to minimise, and values to log."""
        raise NotImplementedError

    def _run(self, batch: Labelled, halting: Halting, generator: torch.Generator) -> NetworkOutput:
        return self.network(batch.images, [kind.by(halting) for kind in self.kinds], generator)


class _Penalised(ResidualObjective):
    """The task's loss plus a cost of units."""

    def loss(self, batch: Labelled, generator: torch.Generator) -> tuple[Tensor, LoggedValues]:
        output = self._run(batch, self._halting(), generator)
        task_loss = cross_entropy(output.logits, batch.classes)
        return task_loss + self._cost(output).mean(), _logged(output, task_loss)

    def _halting(self) -> Halting:
        return self.settings.evaluation_halting

    def _cost(self, output: NetworkOutput) -> Tensor:
        return output.logits.new_zeros(len(output.logits))


class Plain(_Penalised):
    """The task's loss alone."""


class Sact(_Penalised):
    """The task's loss plus τ / (H · W) Σ ρ, ρ = N + R at each position: ACT where a map halts as a whole."""

    settings: ActObjective

    def _cost(self, output: NetworkOutput) -> Tensor:
        return self.settings.time_penalty * summed_over_blocks(output, ponder_cost)


class RelaxedPsact(_Penalised):
    """The likelihood of relaxed samples, and the expected log-prior."""

    settings: RelaxedObjective

    def _halting(self) -> Halting:
        return self.settings.training_halting

    def _cost(self, output: NetworkOutput) -> Tensor:
        return self.settings.time_penalty * summed_over_blocks(output, expected_steps)


class ReinforcePsact(ResidualObjective):
    """The score function: the learning signal of an image's samples is its loss and cost less a baseline.

    The cost is the expected one of each unit, given the samples before it (`conditional_expected_steps`), as
    later halting probabilities depend on the samples at a position and its neighbours. The baseline is a
    moving average of loss and cost.
    """

    settings: ReinforceObjective
    baseline: Tensor
    initialised: Tensor

    def __init__(
        self, network: ResidualNetwork, settings: ReinforceObjective, kinds: Kinds | None = None
    ) -> None:
        super().__init__(network, settings, kinds)
        self.register_buffer("baseline", torch.zeros(()))
        self.register_buffer("initialised", torch.zeros(()))

    def loss(self, batch: Labelled, generator: torch.Generator) -> tuple[Tensor, LoggedValues]:
        """Compute a surrogate whose gradient is unbiased for τ E[N] less the expected log-likelihood.

        This holds in evaluation mode; in training, batch norm makes an image's loss depend on the samples of
        other images.
        """
        output = self._run(batch, Discrete(), generator)
        losses = cross_entropy(output.logits, batch.classes, reduction="none")
        total = losses + self.settings.time_penalty * summed_over_blocks(output, conditional_expected_steps)
        log_q = sum(
            (log_probability(block.pondering).flatten(1).sum(1) for block in output.blocks),
            torch.zeros_like(total),
        )
        with torch.no_grad():
            self.update_baseline(total.mean())
            advantage = total - self.baseline
        return (total + advantage * log_q).mean(), _logged(output, losses.mean())

    def update_baseline(self, total: Tensor) -> None:
        """Move the baseline towards loss and cost of a batch, (); the first call sets it."""
        decay = self.settings.baseline_decay * self.initialised
        self.baseline.copy_(decay * self.baseline + (1 - decay) * total)
        self.initialised.fill_(1)


def summed_over_blocks(output: NetworkOutput, cost: Callable[[Pondering[object]], Tensor]) -> Tensor:
    """Sum over blocks the mean cost of a block's positions: (B,).

    Args:
        cost: of a pondering, (B, h, w).
    """
    each = [cost(block.pondering).mean((1, 2)) for block in output.blocks]
    return torch.stack(each).sum(0)


def _logged(output: NetworkOutput, task_loss: Tensor) -> LoggedValues:
    steps = {f"units_{i}": block.steps.mean() for i, block in enumerate(output.blocks, start=1)}
    return {"task_loss": task_loss.detach(), **steps}


def build_residual_objective(
    network: ResidualNetwork, settings: AdaptiveObjectiveSettings, kinds: Kinds | None = None
) -> ResidualObjective:
    """Build the objective of some settings."""
    if isinstance(settings, ReinforceObjective):
        return ReinforcePsact(network, settings, kinds)
    classes = {ActObjective: Sact, RelaxedObjective: RelaxedPsact, PlainObjective: Plain}
    return classes[type(settings)](network, settings, kinds)
