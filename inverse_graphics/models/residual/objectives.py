"""Losses of residual networks that think: SACT, PSACT by relaxed draws or by the score function, and none.

Units cost as in networks over sequences (`adaptive.sequence_objectives`), with τ / (H · W) for each position
of a block's map: τ for a unit that runs everywhere. PSACT maximises E_q[ log p(y | x, z) + log p(z) ], the
prior of each position's number of units a geometric one truncated at what the block has,
p(n) ∝ exp(−τ n / (H · W)).

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

Watched = Mapping[str, Tensor | float]
Kinds = list[BlockKind]


class Labelled(NamedTuple):
    """Images (B, channels, S, S) in [0, 1], and their classes (B,) int64."""

    images: Tensor
    classes: Tensor


class ResidualObjective(nn.Module):
    """The loss of a network; its own state, if it has any, goes into checkpoints.

    kinds: the blocks' kinds, where they are not those of the network's settings; whose rules do not matter.
    """

    def __init__(
        self, network: ResidualNetwork, settings: AdaptiveObjectiveSettings, kinds: Kinds | None = None
    ) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        self.kinds = list(network.kinds(kinds))

    def loss(self, batch: Labelled, generator: torch.Generator) -> tuple[Tensor, Watched]:
        """The scalar to minimise, and what to watch."""
        raise NotImplementedError

    def _think(self, batch: Labelled, halting: Halting, generator: torch.Generator) -> NetworkOutput:
        return self.network(batch.images, [kind.by(halting) for kind in self.kinds], generator)


class _Penalised(ResidualObjective):
    """The task's loss, and what units cost."""

    def loss(self, batch: Labelled, generator: torch.Generator) -> tuple[Tensor, Watched]:
        thought = self._think(batch, self._halting(), generator)
        task_loss = cross_entropy(thought.logits, batch.classes)
        return task_loss + self._cost(thought).mean(), _watched(thought, task_loss)

    def _halting(self) -> Halting:
        return self.settings.judged_by

    def _cost(self, thought: NetworkOutput) -> Tensor:
        return thought.logits.new_zeros(len(thought.logits))


class Plain(_Penalised):
    """The task's loss alone."""


class Sact(_Penalised):
    """The task's loss and τ / (H · W) Σ ρ, ρ = N + R at each position: ACT where a map halts as a whole."""

    settings: ActObjective

    def _cost(self, thought: NetworkOutput) -> Tensor:
        return self.settings.time_penalty * summed_over_blocks(thought, ponder_cost)


class RelaxedPsact(_Penalised):
    """The likelihood of relaxed draws, and the expected log-prior."""

    settings: RelaxedObjective

    def _halting(self) -> Halting:
        return self.settings.trained_by

    def _cost(self, thought: NetworkOutput) -> Tensor:
        return self.settings.time_penalty * summed_over_blocks(thought, expected_steps)


class ReinforcePsact(ResidualObjective):
    """The score function: all draws of an image are blamed for its loss and cost, less what is usual.

    The cost is what is to be expected of each unit, given what was drawn before it
    (`conditional_expected_steps`): later halting probabilities depend on what was drawn, here and next to it.
    baseline: moving average of loss and cost.
    """

    settings: ReinforceObjective
    baseline: Tensor
    begun: Tensor

    def __init__(
        self, network: ResidualNetwork, settings: ReinforceObjective, kinds: Kinds | None = None
    ) -> None:
        super().__init__(network, settings, kinds)
        self.register_buffer("baseline", torch.zeros(()))
        self.register_buffer("begun", torch.zeros(()))

    def loss(self, batch: Labelled, generator: torch.Generator) -> tuple[Tensor, Watched]:
        """Its gradient is unbiased for τ E[N] less the expected log-likelihood, in evaluation mode.

        In training, batch norm makes an image's loss depend on the others' draws.
        """
        thought = self._think(batch, Discrete(), generator)
        losses = cross_entropy(thought.logits, batch.classes, reduction="none")
        total = losses + self.settings.time_penalty * summed_over_blocks(thought, conditional_expected_steps)
        log_q = sum(
            (log_probability(block.pondering).flatten(1).sum(1) for block in thought.blocks),
            torch.zeros_like(total),
        )
        with torch.no_grad():
            self.update_baseline(total.mean())
            advantage = total - self.baseline
        return (total + advantage * log_q).mean(), _watched(thought, losses.mean())

    def update_baseline(self, total: Tensor) -> None:
        """Move the baseline towards loss and cost of a batch, (), or begin there."""
        decay = self.settings.baseline_decay * self.begun
        self.baseline.copy_(decay * self.baseline + (1 - decay) * total)
        self.begun.fill_(1)


def summed_over_blocks(thought: NetworkOutput, cost: Callable[[Pondering[object]], Tensor]) -> Tensor:
    """The mean cost of a block's positions, over its blocks: (B,).  cost: of a pondering, (B, h, w)."""
    each = [cost(block.pondering).mean((1, 2)) for block in thought.blocks]
    return torch.stack(each).sum(0)


def _watched(thought: NetworkOutput, task_loss: Tensor) -> Watched:
    steps = {f"units_{i}": block.steps.mean() for i, block in enumerate(thought.blocks, start=1)}
    return {"task_loss": task_loss.detach(), **steps}


def build_residual_objective(
    network: ResidualNetwork, settings: AdaptiveObjectiveSettings, kinds: Kinds | None = None
) -> ResidualObjective:
    """The objective of these settings."""
    if isinstance(settings, ReinforceObjective):
        return ReinforcePsact(network, settings, kinds)
    made = {ActObjective: Sact, RelaxedObjective: RelaxedPsact, PlainObjective: Plain}
    return made[type(settings)](network, settings, kinds)
