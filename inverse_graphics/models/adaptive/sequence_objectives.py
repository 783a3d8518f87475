"""Losses of sequence networks: ACT, PACT by relaxed samples or by the score function, and the task's alone.

PACT maximises E_q[ log p(y | x, z) + log p(z) ] over the numbers of steps z, each with a geometric prior that
is truncated at the maximum, p(n) ∝ exp(−τ n): amortised MAP inference by stochastic variational
optimisation, which has no entropy term. The expected log-prior is −τ E_q[n] + const., and E_q[n] is known
from the halting probabilities (`expected_steps`); only the likelihood is estimated from samples.

All are means over sequences of sums over their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from inverse_graphics.halting import (
    Discrete,
    Halting,
    Pondering,
    expected_steps,
    log_probability,
    ponder_cost,
)
from inverse_graphics.models.adaptive.cells import State
from inverse_graphics.models.adaptive.sequence_network import SequenceNetwork, SequenceOutput, Sequences
from inverse_graphics.models.adaptive.settings import (
    ActObjective,
    AdaptiveObjectiveSettings,
    ReinforceObjective,
    RelaxedObjective,
)
from inverse_graphics.sequences.sequence_batch import NO_TARGET

LoggedValues = Mapping[str, Tensor | float]


def answer_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """−log p(target) of all answers after each input: (M,), nats; 0 where there is no target.

    Args:
        logits: (M, K, C), or (M, K, 1) for two classes.
        targets: (M, K).
    """
    asked = targets != NO_TARGET
    if logits.shape[-1] == 1:
        losses = binary_cross_entropy_with_logits(logits[..., 0], targets.to(logits), reduction="none")
        return torch.where(asked, losses, 0).sum(-1)
    losses = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET, reduction="none")
    return losses.reshape(targets.shape).sum(-1)


class SequenceObjective(nn.Module):
    """The loss of a network; its state, if it has any, is saved in checkpoints."""

    def __init__(self, network: SequenceNetwork, settings: AdaptiveObjectiveSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def loss(self, batch: Sequences, generator: torch.Generator) -> tuple[Tensor, LoggedValues]:
        """Compute the scalar to minimise, and values to log."""
        raise NotImplementedError

    def _logged(self, answers: SequenceOutput, task_loss: Tensor, batch: Sequences) -> LoggedValues:
        return {"task_loss": task_loss.detach() / len(batch.inputs[0]), "steps": answers.steps.mean()}


class PenalisedSteps(SequenceObjective):
    """The task's loss plus a cost of steps, under a halting rule that gradients pass through.

    Args:
        halting: the rule; None for a fixed number of steps.
        cost: of the steps on an input, nats; None for none.
    """

    def __init__(
        self,
        network: SequenceNetwork,
        settings: AdaptiveObjectiveSettings,
        halting: Halting | None = None,
        cost: Callable[[Pondering[State]], Tensor] | None = None,
    ) -> None:
        super().__init__(network, settings)
        self.halting, self.cost = halting, cost

    def loss(self, batch: Sequences, generator: torch.Generator) -> tuple[Tensor, LoggedValues]:
        """Compute the scalar to minimise, and values to log."""
        answers = self.network(batch.inputs, self.halting, generator)
        total = task_loss = answer_losses(answers.logits, batch.targets).sum()
        if self.cost is not None:
            total = task_loss + torch.cat([self.cost(pondering) for pondering in answers.ponderings]).sum()
        return total / len(batch.inputs[0]), self._logged(answers, task_loss, batch)


class ReinforcePact(SequenceObjective):
    """The score function: the learning signal of each sample is the sum of later losses less a baseline.

    All steps run for every input, as the expected log-prior needs their halting probabilities. The baseline
    is a moving average of the loss per remaining input, the current one included.
    """

    settings: ReinforceObjective
    baseline: Tensor
    initialised: Tensor

    def __init__(self, network: SequenceNetwork, settings: ReinforceObjective) -> None:
        super().__init__(network, settings)
        self.register_buffer("baseline", torch.zeros(()))
        self.register_buffer("initialised", torch.zeros(()))

    def loss(self, batch: Sequences, generator: torch.Generator) -> tuple[Tensor, LoggedValues]:
        """Compute a surrogate whose gradient is unbiased for τ E[N] less the expected log-likelihood."""
        all_steps = self.network.settings.max_steps
        answers = self.network(batch.inputs, Discrete(), generator, min_steps=all_steps)
        losses = answer_losses(answers.logits, batch.targets)
        prior = self.settings.time_penalty * torch.cat([expected_steps(p) for p in answers.ponderings])
        log_q = torch.cat([log_probability(pondering) for pondering in answers.ponderings])
        with torch.no_grad():
            cost, inputs_left = _cost_to_go(losses, prior, batch)
            self._update_baseline((cost / inputs_left).mean())
            advantage = cost - self.baseline * inputs_left
        surrogate = losses.sum() + prior.sum() + (advantage * log_q).sum()
        return surrogate / len(batch.inputs[0]), self._logged(answers, losses.sum(), batch)

    def _update_baseline(self, loss: Tensor) -> None:
        """Start at the first loss, then update the moving average."""
        decay = self.settings.baseline_decay * self.initialised
        self.baseline.copy_(decay * self.baseline + (1 - decay) * loss)
        self.initialised.fill_(1)


def _cost_to_go(losses: Tensor, prior: Tensor, batch: Sequences) -> tuple[Tensor, Tensor]:
    """The cost that a sample affects, its own loss and all that follows, and the number of inputs: (M,) each.

    The expected steps of the sample's own input do not depend on it and are left out.
    """
    device, sizes = losses.device, torch.tensor([len(inputs) for inputs in batch.inputs])
    valid = (torch.arange(int(sizes[0])) < sizes[:, None]).to(device)

    def from_here(values: Tensor) -> Tensor:
        grid = values.new_zeros(valid.shape)
        grid[valid] = values
        return grid.flip(0).cumsum(0).flip(0)[valid]

    return from_here(losses + prior) - prior, from_here(torch.ones_like(losses))


def build_sequence_objective(
    network: SequenceNetwork, settings: AdaptiveObjectiveSettings
) -> SequenceObjective:
    """Build the objective of some settings: with τ ρ for ACT, the expected log-prior for PACT, or none."""
    match settings:
        case ActObjective():
            halting, penalty = settings.evaluation_halting, settings.time_penalty
            return PenalisedSteps(network, settings, halting, lambda steps: penalty * ponder_cost(steps))
        case RelaxedObjective():
            halting, penalty = settings.training_halting, settings.time_penalty
            return PenalisedSteps(network, settings, halting, lambda steps: penalty * expected_steps(steps))
        case ReinforceObjective():
            return ReinforcePact(network, settings)
        case _:
            return PenalisedSteps(network, settings)
