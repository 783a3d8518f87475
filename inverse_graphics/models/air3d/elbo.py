"""The evidence lower bound on unlabelled images, with a warm-up phase and an additional wake update.

Continuous latents (positions, orientations, the camera) and presence are trained by the bound's gradient
through the renderer. Discrete choices (kinds, and which of several orientations) saturate there: differences
of hundreds of nats decide them before poses are correct. They are trained, as in the wake phase of
wake-sleep, on scenes resampled by weight from many proposals; at first so are all latents, as proposals
escape local optima of the gradient. The network is never trained on sampled scenes with their labels.

After the warm-up the objective is the bound. Its gradient is exact in the count, but differs from the bound's
gradient as follows:
- Kinds and the components of an orientation's mixture are sampled. The bound trains kinds only if all kinds
  are evaluated (`identity`), and gives the components' weights only zero-mean noise; the wake update trains
  both.
- Images with a low likelihood may be tempered (`misfit_scale_nats`), which bounds their gradients.
- No gradient flows through the reconstruction that is the input of later steps, including the empty table
  seen by a free camera.
- No gradient flows through the position of a glimpse, or from kind and orientation to the features of the
  location.
- The gradient of a component of a rotation's mixture is scaled by its variance (`posterior.scale_gradient`).
- Clamped values have the gradient of the unclamped ones (`clamp_straight_through`).
During the warm-up kinds are also sampled uniformly, so that the logged `elbo` lies below the bound.
Source: Eslami et al. 2016, section 2; Bornschein & Bengio 2015; Le et al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from inverse_graphics.distributions.discrete import Categorical
from inverse_graphics.distributions.sampler import DefensiveMixture, DefensiveSampler
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air import Inference, attend_infer_repeat
from inverse_graphics.models.air3d.identity import Score, expected_over_kinds
from inverse_graphics.models.air3d.log_posterior import log_posterior
from inverse_graphics.models.air3d.network import Air3D, Latents
from inverse_graphics.models.air3d.proposals import encode_once, sampled_latents
from inverse_graphics.models.air3d.replay import ReplayBuffer
from inverse_graphics.models.air3d.scene_latents import (
    draw_from_prior,
    draw_step_inputs,
    nearest_first,
    observe,
)
from inverse_graphics.models.air3d.search import Search, search_scenes
from inverse_graphics.models.elbo import exact_count_elbo, warmed_up_objective
from inverse_graphics.models.estimators.estimator import mixed_weights
from inverse_graphics.observation.model import Tempered
from inverse_graphics.observation.observation import Observation, Rendered


class ElboSettings(BaseModel):
    """Settings of training on unlabelled images.

    Attributes:
        warm_up_steps: length of the warm-up, in which objects are trained on all prefixes, and likelihoods
            are tempered and compared at several scales; afterwards the objective is the bound.
        first_temperature: temperature of likelihoods at the start; falls to 1 over the warm-up.
        levels: number of scales at which likelihoods are compared during the warm-up.
        wake: weight of the wake update relative to the bound.
        samples: proposals per image in the wake update.
        defensive_mixture_weight: probability with which each latent of a proposal is sampled from the prior
            instead of the posterior, at the start; falls to 0 over the warm-up. For kinds it starts at 1.
        kept_proposals: number of proposals per image that are refined by gradient ascent, before one is
            resampled from them.
        refine_steps: gradient steps of that refinement.
        orientation_steps: gradient steps for each alternative orientation of each object (half rotations, or
            quarter rotations of upright objects); 0 to skip them.
        replay_ratio: images from the replay buffer per new image.
        replay_capacity: size of the replay buffer, images.
        uniform_mixture_weight: weight of a uniform component of the posterior in the wake update, which
            bounds the gradient of wrong proposals.
        tie_m: objects whose depths differ by less than this, metres, may come in any order in the wake
            update.
        bound_in_warm_up: whether the tempered bound is maximised from the first step, or only after the
            warm-up.
        identity: how kinds are trained: by the wake update alone ("wake"), or also by evaluating the bound
            with every kind of each object ("local").
        misfit_scale_nats: an image whose log-likelihood is lower than that of noise by this amount has
            temperature 2, by three times this amount temperature 4, and so on, so that a few images do not
            dominate the gradient; null for no tempering.
        bound_samples: S; with more than one, the bound is the importance-weighted bound of S samples (Burda
            et al. 2016), which gives no weight to samples in poor local optima.
        overlap_nats_per_m: penalty on intersecting objects, nats per metre of overlap.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["elbo"] = "elbo"
    warm_up_steps: int = Field(4000, ge=0)
    first_temperature: float = Field(1000.0, ge=1, le=1e6)
    levels: int = Field(4, ge=1, le=8)
    wake: float = Field(1.0, ge=0, le=1000)
    samples: int = Field(8, ge=1, le=1024)
    defensive_mixture_weight: float = Field(0.3, ge=0, lt=1)
    kept_proposals: int = Field(1, ge=1, le=1024)
    refine_steps: int = Field(0, ge=0, le=1000)
    orientation_steps: int = Field(0, ge=0, le=1000)
    replay_ratio: int = Field(0, ge=0, le=64)
    replay_capacity: int = Field(2048, ge=1, le=1_000_000)
    uniform_mixture_weight: float = Field(0.0, ge=0, lt=1)
    tie_m: float = Field(0.05, ge=0, le=10)
    bound_in_warm_up: bool = True
    identity: Literal["wake", "local"] = "wake"
    bound_samples: int = Field(1, ge=1, le=64)
    misfit_scale_nats: float | None = Field(None, gt=0)
    overlap_nats_per_m: float = Field(1000.0, ge=0)

    def progress(self, step: int) -> float:
        """The fraction of the warm-up after `step` steps, in [0, 1]."""
        return 1.0 if step >= self.warm_up_steps else step / self.warm_up_steps

    def kind_exploration(self, step: int) -> float:
        """The probability with which kinds are sampled uniformly after `step` steps."""
        return 1 - self.progress(step)

    def temperature(self, step: int) -> float:
        """The temperature after `step` steps."""
        return float(self.first_temperature ** (1 - self.progress(step)))


class BoundAscent:
    """Minus the bound, or its surrogate during the warm-up.

    With S samples z_s of an image and their bounds B_s, exact in the count, the bound is
    log 1/S Σ_s exp B_s; its gradient is the mean of the samples' gradients, weighted by their share of the
    sum.
    """

    def __init__(self, model: Air3D, settings: ElboSettings, reconstruction_gradient: bool = False) -> None:
        self.model = model
        self.settings = settings
        self.reconstruction_gradient = reconstruction_gradient

    def __call__(
        self,
        observation: Observation,
        warm_up_fraction: float,
        temperature: float,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Compute the scalar to minimise for B images, and the current bound, nats.

        Args:
            observation: B images.
            warm_up_fraction: fraction of the warm-up, in [0, 1].
            temperature: temperature of the likelihood.
            generator: for samples.
        """
        samples, prior = self.settings.bound_samples, self.model.space.log_count_prior
        inference = self._inference(observation, warm_up_fraction, generator)
        with torch.no_grad():
            bound = exact_count_elbo(inference, prior)
        levels = 1 if warm_up_fraction == 1 else self.settings.levels
        score = self._score(inference, observation.repeat(samples), temperature, levels)
        tempered = self._tempered(inference, score)
        objective = warmed_up_objective(tempered, prior, warm_up_fraction)
        if self.settings.identity == "local":
            weights = mixed_weights(inference.log_count.exp(), warm_up_fraction)
            objective = objective + expected_over_kinds(self.model, inference, weights, score)
        watched: dict[str, Tensor | float] = {name: part.mean() for name, part in bound._asdict().items()}
        if samples == 1:
            return -objective.mean(), watched
        with torch.no_grad():
            share = torch.softmax(exact_count_elbo(tempered, prior).elbo.reshape(samples, -1), 0)
        together = bound.elbo.reshape(samples, -1).logsumexp(0) - math.log(samples)
        return -(share * objective.reshape(samples, -1)).sum(0).mean(), {
            **watched,
            "multi_sample_bound": together.mean(),
        }

    def _inference(
        self, observation: Observation, warm_up_fraction: float, generator: torch.Generator
    ) -> Inference:
        """Infer the objects; during the warm-up kinds are also sampled uniformly."""
        sampler = DefensiveSampler(generator, DefensiveMixture(kinds=1 - warm_up_fraction))
        model, samples = self.model, self.settings.bound_samples
        if samples == 1:
            initial = model.begin(observation, sampler, self.reconstruction_gradient)
            return attend_infer_repeat(model, observation, sampler, initial=initial)
        initial = encode_once(model, observation, samples, sampler, self.reconstruction_gradient)
        inference = attend_infer_repeat(model, observation.repeat(samples), sampler, initial=initial)
        return with_sampled_divergences(inference, model)

    def _tempered(self, inference: Inference, score: Score) -> Inference:
        """The same inference with the training scores of prefixes as log-likelihoods."""
        prefixes = Rendered.stack(self.model.prefixes(inference.objects))
        return inference._replace(log_likelihood=score(prefixes, sampled_latents(inference)))

    def _score(
        self, inference: Inference, observation: Observation, temperature: float, levels: int
    ) -> Score:
        """Make the training score: the tempered multi-scale log-likelihood minus the overlap penalty."""
        model, settings = self.model, self.settings
        likelihood = Tempered(
            model.observation_model.pyramid(levels),
            temperature * self.misfit_temperature(inference, observation),
        )

        def score(prefixes: Rendered, scenes: SceneLatents) -> Tensor:
            log_likelihood = likelihood.log_prob(observation[:, None], prefixes)
            if settings.overlap_nats_per_m == 0:
                return log_likelihood
            return log_likelihood - settings.overlap_nats_per_m * model.space.family.overlap(scenes)

        return score

    @torch.no_grad()
    def misfit_temperature(self, inference: Inference, observation: Observation) -> Tensor:
        """The temperature of each image by the misfit of its best sample: (S · B, 1), at least 1."""
        if self.settings.misfit_scale_nats is None:
            return torch.ones_like(inference.kl_shared[:, None])
        noise = -self.model.observation_model.entropy(observation)
        explained = (inference.log_count.exp() * inference.log_likelihood).sum(-1)
        best = explained.reshape(self.settings.bound_samples, -1).amax(0).repeat(self.settings.bound_samples)
        return 1 + (noise - best)[:, None].clamp(min=0) / self.settings.misfit_scale_nats


def with_sampled_divergences(inference: Inference, model: Air3D) -> Inference:
    """Replace KL divergences by sampled log-ratios, log q(z) − log p(z): (S · B, N), nats.

    The importance-weighted bound of several samples requires log-ratios instead of their means.
    """
    space = model.space
    latents: list[Latents] = [step.latents for step in inference.objects]
    each = []
    for one in latents:
        q = one.posterior
        named = Categorical(q.identity.detach()).log_prob(one.asset) + math.log(
            len(space.orientation_observable)
        )
        placed = q.position.log_prob(one.position) + (2 * space.reach).log().sum()
        oriented = space.orientation_observable[one.asset] * q.visible_orientation(
            one.asset, space
        ).kl_to_uniform(one.orientation)
        each.append(named + placed + oriented)
    shared, posterior = inference.kl_shared, model.camera(inference.shared.maps)
    if posterior is not None:
        width = (space.orbit_high - space.orbit_low)[space.free]
        shared = posterior.log_prob(inference.shared.orbit[:, space.free]) + width.log().sum()
    return inference._replace(kl=torch.stack(each, -1), kl_shared=shared)


class ElboObjective:
    """Minus the bound, with its warm-up, plus the loss of the wake update."""

    def __init__(self, model: Air3D, settings: ElboSettings) -> None:
        self.model = model
        self.settings = settings
        self.ascent = BoundAscent(model, settings)
        self.replay = ReplayBuffer(model, settings.replay_capacity) if settings.replay_ratio else None

    def batch(self, size: int, generator: torch.Generator) -> Observation:
        """Sample images; their scenes are discarded."""
        model = self.model
        scenes, render = draw_from_prior(model.space, model.engine, size, generator)
        return observe(scenes, render, model.observation_model, generator)

    def loss(
        self, batch: Observation, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Compute the scalar to minimise, and its parts, nats."""
        settings = self.settings
        warm_up_fraction, temperature = settings.progress(step), settings.temperature(step)
        loss = batch.rgb.new_zeros(())
        watched: dict[str, Tensor | float] = {"temperature": temperature}
        if settings.bound_in_warm_up or warm_up_fraction == 1:
            loss, bounds = self.ascent(batch, warm_up_fraction, temperature, generator)
            watched |= bounds
        if settings.wake > 0:
            wake = self._wake(batch, step, generator)
            loss = loss + settings.wake * wake
            watched |= {"wake": -wake.detach()}
        return loss, watched

    def _wake(self, observation: Observation, step: int, generator: torch.Generator) -> Tensor:
        """Minus the mean posterior log-density at scenes found by search, for these and replayed images."""
        settings, space = self.settings, self.model.space
        mixture = DefensiveMixture(
            settings.kind_exploration(step), settings.defensive_mixture_weight * (1 - settings.progress(step))
        )
        search = Search(
            settings.samples,
            settings.kept_proposals,
            settings.refine_steps,
            mixture=mixture,
            orientation_steps=settings.orientation_steps,
        )
        scenes = search_scenes(self.model, observation, search, settings.temperature(step), generator)
        scenes = nearest_first(scenes, space)
        if self.replay is not None:
            self.replay.add(observation, scenes)
            again, known = self.replay.sample(settings.replay_ratio * len(observation), generator)
            observation = Observation.cat([observation, again])
            scenes = SceneLatents.cat([scenes, known])
        with torch.no_grad():
            prefixes = draw_step_inputs(scenes, space, self.model.engine)
        uniform_component = DefensiveMixture(rest=settings.uniform_mixture_weight)
        log_q = log_posterior(
            self.model,
            observation,
            scenes,
            prefixes,
            tie_m=self.settings.tie_m,
            mixture=uniform_component,
        )
        return -log_q.total.mean()
