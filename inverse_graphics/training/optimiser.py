"""Adam with a learning rate schedule, which skips steps that are not finite; weight averaging.

The average of the weights varies less than the weights themselves (Polyak and Juditsky 1992).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from inverse_graphics.training.task import ParameterGroup


class OptimiserSettings(BaseModel):
    """Settings of Adam (Kingma and Ba 2015) and of the decay of its learning rate.

    Attributes:
        decay_from: share of the steps with a constant rate.
        final_fraction: the rate after the last step, as a share of the initial one.
        gradient_clip: largest Euclidean norm of the whole gradient, None for no bound.
        spike_clip: largest ratio of the Euclidean norm of a tensor's gradient to the root of Adam's running
            mean of its square, None for no bound. Adam's steps are longest just where gradients grow faster
            than that mean (Wortsman et al. 2023, "Stable and low-precision training", section 3).
        average: decay per step of the running mean of the weights, which is then evaluated and exported; None
            for no averaging.
        most_skipped_in_a_row: after this many steps that are not finite, training fails.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    decay: Literal["constant", "linear", "cosine"] = "constant"
    decay_from: float = Field(default=0.0, ge=0, lt=1)
    final_fraction: float = Field(default=0.1, ge=0, le=1)
    gradient_clip: float | None = Field(default=None, gt=0)
    spike_clip: float | None = Field(default=None, ge=1)
    average: float | None = Field(default=None, gt=0, lt=1)
    most_skipped_in_a_row: int = Field(default=10, ge=1)


def rate_factor(settings: OptimiserSettings, step: int, steps: int) -> float:
    """The factor on the learning rate in a step.

    Args:
        settings: of the optimiser.
        step: number of steps done before.
        steps: of the run.
    """
    begin = settings.decay_from * steps
    progress = min(max((step - begin) / max(steps - begin, 1), 0.0), 1.0)
    if settings.decay == "linear":
        return 1 - (1 - settings.final_fraction) * progress
    if settings.decay == "cosine":
        return (
            settings.final_fraction + (1 - settings.final_fraction) * (1 + math.cos(math.pi * progress)) / 2
        )
    return 1.0


MIN_STEPS = 20
"""Steps before Adam's second moment is an estimate by which gradients can be clipped."""


class Optimiser:
    """Adam with its state allocated at the start, so that every checkpoint has the same tensors."""

    def __init__(self, groups: Sequence[ParameterGroup], settings: OptimiserSettings, steps: int) -> None:
        self.settings, self.steps = settings, steps
        self._rates = [group.rate for group in groups]
        self._adam = torch.optim.Adam(
            [{"params": group.parameters} for group in groups],
            lr=settings.learning_rate,
            betas=settings.betas,
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._parameters = [parameter for group in groups for parameter in group.parameters]
        for parameter in self._parameters:
            self._adam.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def learning_rate(self, step: int) -> float:
        """The learning rate of a group with rate 1, after `step` steps."""
        return self.settings.learning_rate * rate_factor(self.settings, step, self.steps)

    def apply(self, loss: Tensor, step: int) -> float | None:
        """Update the parameters; returns the gradient's norm before clipping.

        Args:
            loss: scalar.
            step: number of steps done before.

        Returns:
            None if the loss or the norm is not finite; then the parameters are unchanged.
        """
        for parameter in self._parameters:
            parameter.grad = None
        if not loss.isfinite():
            return None
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(
            torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.gradient_clip or math.inf)
        )
        if not math.isfinite(norm):
            return None
        if self.settings.spike_clip is not None:
            self._clip_spikes(self.settings.spike_clip)
        for group, rate in zip(self._adam.param_groups, self._rates, strict=True):
            group["lr"] = rate * self.learning_rate(step)
        self._adam.step()
        return norm

    @torch.no_grad()
    def _clip_spikes(self, largest: float) -> None:
        """Shorten the gradients of tensors that are far longer than they were in the steps before."""
        decay = self.settings.betas[1]
        gradients, usual = [], []
        for parameter in self._parameters:
            state = self._adam.state[parameter]
            done = state["step"]
            if parameter.grad is not None and done >= MIN_STEPS:
                gradients.append(parameter.grad)
                usual.append((state["exp_avg_sq"].sum() / (1 - decay**done)).sqrt())
        if gradients:
            bounds = largest * torch.stack(usual)
            excess = torch.stack(torch._foreach_norm(gradients)) / bounds
            torch._foreach_div_(gradients, list(torch.where(bounds > 0, excess.clamp(min=1.0), 1.0)))

    def state_tensors(self) -> dict[str, Tensor]:
        """Adam's moments and counters by name; writing into them restores the optimiser."""
        return {
            f"{index}.{name}": tensor
            for index, parameter in enumerate(self._parameters)
            for name, tensor in self._adam.state[parameter].items()
        }


class WeightAverage:
    """An exponential mean of a network's real-valued state, with a faster decay in the first steps."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._weights = {n: t for n, t in module.state_dict().items() if t.is_floating_point()}
        self._means = {name: tensor.clone() for name, tensor in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the mean by the weights after `step` steps."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._means.values()), list(self._weights.values()), share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Replace the network's weights by the means, and restore them after the block."""
        saved = {name: tensor.clone() for name, tensor in self._weights.items()}
        _copy(self._means, self._weights)
        try:
            yield
        finally:
            _copy(saved, self._weights)

    def state_tensors(self) -> dict[str, Tensor]:
        """The means by name; writing into them restores the average."""
        return self._means


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
