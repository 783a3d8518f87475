"""Attend, infer, repeat: the recurrent loop that 2D and 3D models share.

A model explains an image by up to N objects, one per step. Step i reads the image and the objects inferred so
far, predicts the probability π_i that there is an i-th object, and infers its latents z_i. The loop runs
all N steps as if every object were present; the count then has the exact probabilities

    w_n = π_1 ⋯ π_n (1 − π_{n+1}),   π_{N+1} = 0.

Source: Eslami et al. 2016, "Attend, Infer, Repeat", section 2.2, with the count enumerated.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import Sampler
from inverse_graphics.halting import Enumerated, Halting, Step, ponder
from inverse_graphics.observation.model import Likelihood


class ObjectStep(NamedTuple):
    """The output of one step for B images.

    Attributes:
        latents: of object i, in the model's own type.
        kl: (B,), KL(q(z_i | x, z_<i) ‖ p(z_i)), nats.
    """

    latents: Any
    kl: Tensor


class InitialState(NamedTuple):
    """The state before the first step.

    Attributes:
        state: the recurrent state, with the latents that all objects share, such as a camera, if there are
            any.
        kl: (B,), nats, of these latents.
    """

    state: Any
    kl: Tensor


class AirModel(Protocol):
    """A model for the loop.

    Models define the type of their observations: images (B, C, H, W) in [0, 1], or an `Observation`.
    """

    @property
    def max_objects(self) -> int:
        """N, the number of steps."""

    def begin(self, observation: Any, sampler: Sampler) -> InitialState:
        """Infer the latents that all objects share, and build the recurrent state before the first step."""

    def step(self, state: Any, sampler: Sampler) -> Step[Any, ObjectStep]:
        """Infer one more object; the step's halting logit is that of *no* further object, −logit(π_i)."""

    def prefix_log_likelihoods(
        self, observation: Any, objects: list[ObjectStep], likelihood: Likelihood | None = None
    ) -> Tensor:
        """log p(x | z_1 … z_n) for n = 0 … N: (B, N + 1), nats.

        Args:
            likelihood: the observation model; default the model's own.
        """


class Inference(NamedTuple):
    """The result of the loop for B images.

    Attributes:
        shared: the state before the first step.
        objects: the N steps.
        log_count: (B, N + 1), log w_n.
        log_present: (B, N), log probability that object i exists.
        kl: (B, N), nats, of each object.
        kl_shared: (B,), nats, of the shared latents.
        log_likelihood: (B, N + 1), of each prefix, nats.
    """

    shared: Any
    objects: list[ObjectStep]
    log_count: Tensor
    log_present: Tensor
    kl: Tensor
    kl_shared: Tensor
    log_likelihood: Tensor

    @property
    def most_probable_count(self) -> Tensor:
        """The most probable count: (B,) int64."""
        return self.log_count.argmax(-1)


def attend_infer_repeat(
    model: AirModel,
    observation: Any,
    sampler: Sampler,
    halting: Halting | None = None,
    initial: InitialState | None = None,
    likelihood: Likelihood | None = None,
) -> Inference:
    """Infer the objects of B images.

    Args:
        model: the model.
        observation: B images, of the model's type.
        sampler: takes latents from their posteriors.
        halting: the halting rule; default `Enumerated`, which runs all N steps.
        initial: the state before the first step, if it was computed already.
        likelihood: a surrogate for the model's observation model.
    """
    initial = initial or model.begin(observation, sampler)
    pondering = ponder(
        lambda state, *_: model.step(state, sampler),
        initial.state,
        model.max_objects,
        halting or Enumerated(),
    )
    objects = pondering.outputs
    return Inference(
        shared=initial.state,
        objects=objects,
        log_count=pondering.log_halt,
        log_present=pondering.log_keep,
        kl=torch.stack([step.kl for step in objects], dim=-1),
        kl_shared=initial.kl,
        log_likelihood=model.prefix_log_likelihoods(observation, objects, likelihood),
    )
