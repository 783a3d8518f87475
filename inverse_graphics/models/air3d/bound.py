"""Climbing the bound on unlabelled images: warmed up, tempered, of one sample or of several."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inverse_graphics.distributions.categorical import Categorical
from inverse_graphics.distributions.sampler import Defence, Defensive
from inverse_graphics.likelihood import PyramidLikelihood
from inverse_graphics.models.air import Inference, attend_infer_repeat
from inverse_graphics.models.air3d.elbo_settings import ElboSettings
from inverse_graphics.models.air3d.identity import Score, expected_over_kinds
from inverse_graphics.models.air3d.network import Air3D, Latents
from inverse_graphics.models.air3d.prior import overlap
from inverse_graphics.models.air3d.proposals import inferred_scenes, seen_once
from inverse_graphics.models.air3d.staged import StagedScenes
from inverse_graphics.models.elbo import exact_count_elbo, warmed_up_objective
from inverse_graphics.models.estimators.estimate import mixed_weights


class BoundAscent:
    """Minus the bound, or what stands for it while it warms up.

    Of S samples z_s of an image, with B_s their bounds, exact in the count, the bound is log 1/S Σ_s exp B_s,
    whose gradient is the mean of the samples' own, each weighed by its share of that sum.
    """

    def __init__(self, model: Air3D, settings: ElboSettings) -> None:
        self.model = model
        self.settings = settings

    def __call__(
        self, images: Tensor, trust: float, temperature: float, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """The scalar to make small for images (B, 3, H, W), and the bound as it stands, nats.

        trust: in [0, 1], how much of the warm-up is over.
        """
        samples, prior = self.settings.bound_samples, self.model.stage.log_count_prior
        repeated = images.repeat(samples, 1, 1, 1)
        inference = self._inference(images, repeated, trust, generator)
        with torch.no_grad():
            bound = exact_count_elbo(inference, prior)
        score = self._score(inference, repeated, temperature, 1 if trust == 1 else self.settings.levels)
        tempered = self._tempered(inference, score)
        objective = warmed_up_objective(tempered, prior, trust)
        if self.settings.identity == "local":
            weights = mixed_weights(inference.log_count.exp(), trust)
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
        self, images: Tensor, repeated: Tensor, trust: float, generator: torch.Generator
    ) -> Inference:
        """At first, objects of all kinds are tried, not only of those believed in."""
        sampler = Defensive(generator, Defence(kinds=1 - trust))
        if len(repeated) == len(images):
            return attend_infer_repeat(self.model, images, sampler)
        beginning = seen_once(self.model, images, repeated, sampler)
        return at_draws(attend_infer_repeat(self.model, repeated, sampler, beginning=beginning), self.model)

    def _tempered(self, inference: Inference, score: Score) -> Inference:
        """The same, whose likelihoods are what each prefix is worth in training."""
        latents: list[Latents] = [step.latents for step in inference.objects]
        pictures = torch.stack([latents[0].before] + [one.after for one in latents], 1)
        return inference._replace(log_likelihood=score(pictures, inferred_scenes(inference)))

    def _score(self, inference: Inference, images: Tensor, temperature: float, levels: int) -> Score:
        """Likelihoods that are compared at several scales, and tempered, less what overlaps cost."""
        model, settings = self.model, self.settings
        likelihood = PyramidLikelihood(model.settings.sigma, levels)
        divisor = temperature * self.leeway(inference, images)

        def score(pictures: Tensor, scenes: StagedScenes) -> Tensor:
            log_likelihood = likelihood.log_prob(images[:, None], pictures) / divisor
            if settings.overlap_nats_per_m == 0:
                return log_likelihood
            return log_likelihood - settings.overlap_nats_per_m * overlap(scenes, model.stage)

        return score

    @torch.no_grad()
    def leeway(self, inference: Inference, images: Tensor) -> Tensor:
        """By what each image is tempered for how badly its best sample explains it: (S · B, 1), from 1."""
        if self.settings.leeway_nats is None:
            return images.new_ones(len(images), 1)
        pixels = images[0].numel()
        noise = -pixels * (0.5 + math.log(self.model.settings.sigma * math.sqrt(2 * math.pi)))
        explained = (inference.log_count.exp() * inference.log_likelihood).sum(-1)
        best = explained.reshape(self.settings.bound_samples, -1).amax(0).repeat(self.settings.bound_samples)
        return 1 + (noise - best)[:, None].clamp(min=0) / self.settings.leeway_nats


def at_draws(inference: Inference, model: Air3D) -> Inference:
    """The same with each divergence at the sample that was drawn, log q(z) − log p(z): (S · B, N), nats.

    Several samples want that: the exponential of a bound with the mean divergence would bound nothing.
    """
    stage = model.stage
    latents: list[Latents] = [step.latents for step in inference.objects]
    each = []
    for one in latents:
        q = one.posterior
        named = Categorical(q.identity.detach()).log_prob(one.asset) + math.log(len(stage.turns))
        placed = q.position.log_prob(one.position) + (2 * stage.reach).log().sum()
        turned = stage.turns[one.asset] * q.seen_turn(one.asset, stage).kl_to_uniform(one.turn)
        each.append(named + placed + turned)
    shared, posterior = inference.kl_shared, model.camera(inference.shared.maps)
    if posterior is not None:
        width = (stage.orbit_high - stage.orbit_low)[stage.free]
        shared = posterior.log_prob(inference.shared.orbit[:, stage.free]) + width.log().sum()
    return inference._replace(kl=torch.stack(each, -1), kl_shared=shared)
