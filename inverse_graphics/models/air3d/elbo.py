"""The evidence lower bound on unlabelled images, warmed up, with a wake update beside it.

What varies smoothly (positions, orientations, the camera, presence) is trained by the bound's gradient
through the renderer. What does not (kinds, and which of several orientations) saturates there: differences of
hundreds of nats decide before poses are right. It is trained, as in wake-sleep's wake phase, on scenes
resampled by weight from many proposals; and so is everything else at first, as proposals find what gradients
cannot. No sampled scene is ever shown to the network with its labels.

After the warm-up the objective is the bound, but its gradient, exact in the count, is not the bound's in all:
- Kinds, and the components of an orientation's mixture, are sampled. The bound does not train kinds unless
  every kind is tried (`identity`), and gives the components' weights only noise of mean zero; the wake update
  trains both.
- Images that are explained badly may be tempered (`misfit_scale_nats`): each still follows the gradient of
  its own bound, but no faster the farther below it is.
- What later steps see in the reconstruction is held fixed, the empty table before a free camera included.
- So are where a glimpse is taken, and what the location's features contribute to kind and orientation.
- A component of a rotation's mixture moves no faster the narrower it is (`posterior.scale_gradient`).
- A number held at a bound has the slope that it would have beside it (`clamp_straight_through`).
During the warm-up kinds are also sampled uniformly, so that `elbo` as logged lies below the bound.
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
from inverse_graphics.models.air3d.search import Search, searched
from inverse_graphics.models.elbo import exact_count_elbo, warmed_up_objective
from inverse_graphics.models.estimators.estimator import mixed_weights
from inverse_graphics.observation.model import Tempered
from inverse_graphics.observation.observation import Observation, Rendered


class ElboSettings(BaseModel):
    """Training on images alone.

    Attributes:
        warm_up_steps: until then objects learn from every prefix, likelihoods are tempered by T, falling from
            `first_temperature` to 1, and compared at `levels` scales; from then on, the objective is the
            bound.
        wake: weight of the wake update beside the bound, whose likelihood is tempered alike.
        samples: proposals for each image, and the probability with which each part of one is drawn from the
            prior; the latter falls to zero over the warm-up, and for kinds it begins at one.
        defence: proposals for each image, and the probability with which each part of one is drawn from the
            prior; the latter falls to zero over the warm-up, and for kinds it begins at one.
        kept_proposals: how many of an image's proposals are refined by gradient ascent, and by how many
            steps, before the one that is learnt from is resampled from them.
        refine_steps: how many of an image's proposals are refined by gradient ascent, and by how many steps,
            before the one that is learnt from is resampled from them.
        orientation_steps: by how many more, with each of its objects also turned by halves (upright ones: by
            quarters), 0 for none.
        replay_ratio: how many earlier images are learnt from again beside each new one, and out of how many.
        replay_capacity: how many earlier images are learnt from again beside each new one, and out of how
            many.
        uniform_mixture_weight: share of a uniform distribution in the posterior where it learns from
            proposals: a wrong one then has no gradient once the right answer is believed.
        tie_m: of objects whose depths differ by less, any may come first where it learns from proposals.
        bound_in_warm_up: whether the tempered bound is maximised from the first step, or only after the
            warm-up.
        identity: how the bound trains kinds: not at all ("wake": the wake update alone does), or by trying
            every kind where an object was sampled ("local").
        misfit_scale_nats: an image that is explained by so many nats worse than noise alone would is tempered
            by 2, one by three times as many by 4, and so on: else the few that are read wrong dominate the
            gradient.
        bound_samples: S; with more than one, the bound is that of S samples, each weighed by how well it
            explains the image (Burda et al. 2016): one in a wrong local optimum then has no weight.
        overlap_nats_per_m: penalty of objects that intersect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["elbo"] = "elbo"
    warm_up_steps: int = Field(4000, ge=0)
    first_temperature: float = Field(1000.0, ge=1, le=1e6)
    levels: int = Field(4, ge=1, le=8)
    wake: float = Field(1.0, ge=0, le=1000)
    samples: int = Field(8, ge=1, le=1024)
    defence: float = Field(0.3, ge=0, lt=1)
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
        """How much of the warm-up is over, from 0 to 1."""
        return 1.0 if step >= self.warm_up_steps else step / self.warm_up_steps

    def kind_exploration(self, step: int) -> float:
        """Probability with which kinds are sampled uniformly, after `step` steps."""
        return 1 - self.progress(step)

    def temperature(self, step: int) -> float:
        """T after `step` steps."""
        return float(self.first_temperature ** (1 - self.progress(step)))


class BoundAscent:
    """Minus the bound, or its surrogate during the warm-up.

    Of S samples z_s of an image, with B_s their bounds, exact in the count, the bound is log 1/S Σ_s exp B_s,
    whose gradient is the mean of the samples' own, each weighed by its share of that sum.

    Args:
        reconstruction_gradient: whether steps learn through what earlier ones put into their input.
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
        """The scalar to minimise for B images, and the bound as it stands, nats.

        Args:
            warm_up_fraction: in [0, 1], how much of the warm-up is over.
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
        """At first, objects of all kinds are sampled, not only of those believed in."""
        sampler = DefensiveSampler(generator, DefensiveMixture(kinds=1 - warm_up_fraction))
        model, samples = self.model, self.settings.bound_samples
        if samples == 1:
            initial = model.begin(observation, sampler, self.reconstruction_gradient)
            return attend_infer_repeat(model, observation, sampler, initial=initial)
        initial = encode_once(model, observation, samples, sampler, self.reconstruction_gradient)
        inference = attend_infer_repeat(model, observation.repeat(samples), sampler, initial=initial)
        return with_sampled_divergences(inference, model)

    def _tempered(self, inference: Inference, score: Score) -> Inference:
        """The same, whose likelihoods are the scores of prefixes in training."""
        prefixes = Rendered.stack(self.model.prefixes(inference.objects))
        return inference._replace(log_likelihood=score(prefixes, sampled_latents(inference)))

    def _score(
        self, inference: Inference, observation: Observation, temperature: float, levels: int
    ) -> Score:
        """Likelihoods compared at several scales, and tempered, less the penalty of intersections."""
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
        """Temperature of each image by its best sample's misfit: (S · B, 1), from 1."""
        if self.settings.misfit_scale_nats is None:
            return torch.ones_like(inference.kl_shared[:, None])
        noise = -self.model.observation_model.entropy(observation)
        explained = (inference.log_count.exp() * inference.log_likelihood).sum(-1)
        best = explained.reshape(self.settings.bound_samples, -1).amax(0).repeat(self.settings.bound_samples)
        return 1 + (noise - best)[:, None].clamp(min=0) / self.settings.misfit_scale_nats


def with_sampled_divergences(inference: Inference, model: Air3D) -> Inference:
    """The same with each divergence at the value sampled, log q(z) − log p(z): (S · B, N), nats.

    Several samples need that: the exponential of a bound with the mean divergence would bound nothing.
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
        turned = space.orientation_observable[one.asset] * q.visible_orientation(
            one.asset, space
        ).kl_to_uniform(one.orientation)
        each.append(named + placed + turned)
    shared, posterior = inference.kl_shared, model.camera(inference.shared.maps)
    if posterior is not None:
        width = (space.orbit_high - space.orbit_low)[space.free]
        shared = posterior.log_prob(inference.shared.orbit[:, space.free]) + width.log().sum()
    return inference._replace(kl=torch.stack(each, -1), kl_shared=shared)


class ElboObjective:
    """Minus the bound, warmed up, and the wake update beside it."""

    def __init__(self, model: Air3D, settings: ElboSettings) -> None:
        self.model = model
        self.settings = settings
        self.ascent = BoundAscent(model, settings)
        self.replay = ReplayBuffer(model, settings.replay_capacity) if settings.replay_ratio else None

    def batch(self, size: int, generator: torch.Generator) -> Observation:
        """Images of unknown scenes."""
        model = self.model
        scenes, render = draw_from_prior(model.space, model.engine, size, generator)
        return observe(scenes, render, model.observation_model, generator)

    def loss(
        self, batch: Observation, step: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The scalar to minimise, and its parts, nats."""
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
        """Minus the mean log-density of scenes that were searched for these images, and for earlier ones."""
        settings, space = self.settings, self.model.space
        defence = DefensiveMixture(
            settings.kind_exploration(step), settings.defence * (1 - settings.progress(step))
        )
        search = Search(
            settings.samples,
            settings.kept_proposals,
            settings.refine_steps,
            defence=defence,
            turned=settings.orientation_steps,
        )
        scenes = searched(self.model, observation, search, settings.temperature(step), generator)
        scenes = nearest_first(scenes, space)
        if self.replay is not None:
            self.replay.add(observation, scenes)
            again, known = self.replay.sample(settings.replay_ratio * len(observation), generator)
            observation = Observation.cat([observation, again])
            scenes = SceneLatents.cat([scenes, known])
        with torch.no_grad():
            prefixes = draw_step_inputs(scenes, space, self.model.engine)
        uniform_mixture_weight = DefensiveMixture(rest=settings.uniform_mixture_weight)
        log_q = log_posterior(
            self.model,
            observation,
            scenes,
            prefixes,
            tie_m=self.settings.tie_m,
            defence=uniform_mixture_weight,
        )
        return -log_q.total.mean()
