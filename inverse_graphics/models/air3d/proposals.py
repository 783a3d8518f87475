"""Importance sampling of scenes from the posterior."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import (
    NO_MIXTURE,
    DefensiveMixture,
    DefensiveSampler,
    Sampler,
    log_prob_mixture,
)
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air import Inference, InitialState, attend_infer_repeat
from inverse_graphics.models.air3d.network import Air3D, Latents
from inverse_graphics.models.air3d.posterior import ObjectPosterior
from inverse_graphics.observation.model import Likelihood
from inverse_graphics.observation.observation import Observation


class Proposals(NamedTuple):
    """S sampled scenes for each of B images, with densities of all of their prefixes.

    Attributes:
        scenes: S · B scenes of N objects; sample s of image b has index s · B + b.
        log_joint: (S, B, N + 1), log p(x, z, n), nats.
        log_proposal: (S, B, N + 1), log density with which objects and camera were sampled (the count is not
            sampled), nats.
        log_posterior: (S, B, N + 1), log q(z, n | x), nats.
    """

    scenes: SceneLatents
    log_joint: Tensor
    log_proposal: Tensor
    log_posterior: Tensor

    def log_weights(self, temperature: float = 1.0) -> Tensor:
        """Tempered log-weights, log [q (p/q)^{1/T} / proposal]: (S, B, N + 1), nats.

        At T = 1 the mean over S of the sum over n is an unbiased estimate of p(x). For T > 1, fitting q to
        the weights is a mirror-descent step of length 1/T on KL(q ‖ p), which favours modes that q already
        covers.
        """
        gain = self.log_joint - self.log_posterior
        return gain / temperature + self.log_posterior - self.log_proposal

    def log_evidence(self) -> Tensor:
        """The importance-weighted estimate of log p(x) (Burda et al. 2016): (B,), nats."""
        weights = self.log_weights()
        return weights.logsumexp((0, 2)) - math.log(len(weights))

    def resample(self, generator: torch.Generator, temperature: float = 1.0) -> SceneLatents:
        """Resample one scene and count per image by weight: B scenes."""
        return self.resample_several(generator, temperature, 1)

    def resample_several(self, generator: torch.Generator, temperature: float, kept: int) -> SceneLatents:
        """Resample `kept` different scenes per image: kept · B scenes; scene k of image b at k · B + b.

        Without replacement, by the Gumbel-top-k trick (Kool et al. 2019).
        """
        _, batch, counts = self.log_joint.shape
        flat = self.log_weights(temperature).permute(1, 0, 2).flatten(1)
        drawn = torch.empty_like(flat, device=generator.device).exponential_(generator=generator)
        gumbel = -drawn.to(flat.device).log()
        chosen = (flat + gumbel).topk(kept).indices.T.flatten()
        index = chosen // counts * batch + torch.arange(batch, device=chosen.device).repeat(kept)
        scenes = self.scenes[index]
        slots = torch.arange(scenes.asset.shape[1], device=chosen.device)
        return scenes.replace(asset=scenes.asset.where(slots < (chosen % counts)[:, None], -1))


@torch.no_grad()
def propose(
    model: Air3D,
    observation: Observation,
    samples: int,
    generator: torch.Generator,
    mixture: DefensiveMixture = NO_MIXTURE,
    likelihood: Likelihood | None = None,
) -> Proposals:
    """Sample scenes of images from the posterior.

    Args:
        model: the model.
        observation: B images.
        samples: S, scenes per image.
        generator: for samples.
        mixture: probabilities of sampling latents from the prior instead of the posterior.
        likelihood: a surrogate for the model's observation model.

    Returns:
        S · B scenes, with their densities.
    """
    sampler = DefensiveSampler(generator, mixture)
    initial = encode_once(model, observation, samples, sampler)
    inference = attend_infer_repeat(
        model, observation.repeat(samples), sampler, initial=initial, likelihood=likelihood
    )
    scenes = sampled_latents(inference)
    log_joint = inference.log_likelihood + model.space.family.log_prob(scenes)
    log_r = _log_density_of_prefixes(model, inference, mixture)
    log_q = _log_density_of_prefixes(model, inference) if any(mixture) else log_r
    shape = (samples, len(observation), -1)
    return Proposals(
        scenes, log_joint.reshape(shape), log_r.reshape(shape), (log_q + inference.log_count).reshape(shape)
    )


def encode_once(
    model: Air3D,
    observation: Observation,
    samples: int,
    sampler: Sampler,
    reconstruction_gradient: bool = True,
) -> InitialState:
    """Encode each image once for all samples; if the camera is known, also compute the first step once.

    Args:
        model: the model.
        observation: B images.
        samples: samples per image.
        sampler: takes latents from their posteriors.
        reconstruction_gradient: see `Air3D.begin_from`.
    """
    maps = model.features(observation)
    initial = model.begin_from(
        observation.repeat(samples), maps.repeat(samples), sampler, reconstruction_gradient
    )
    if len(model.space.free):
        return initial
    first = model.look(model.begin_from(observation, maps, sampler, reconstruction_gradient).state)
    return initial._replace(state=initial.state._replace(precomputed_posterior=_repeated(first, samples)))


def _repeated(posterior: ObjectPosterior, samples: int) -> ObjectPosterior:
    """Repeat a posterior for every sample of an image."""

    def again(part: Tensor) -> Tensor:
        return part.repeat(samples, *[1] * (part.dim() - 1))

    position = posterior.position
    return ObjectPosterior(
        again(posterior.presence),
        again(posterior.identity),
        position._replace(mean=again(position.mean), std=again(position.std)),
        type(posterior.orientation)(*(again(part) for part in posterior.orientation)),
    )


def sampled_latents(inference: Inference) -> SceneLatents:
    """The sampled latents of all N objects of an inference, whatever the inferred count."""
    latents: list[Latents] = [step.latents for step in inference.objects]
    return SceneLatents(
        inference.shared.orbit,
        torch.stack([one.asset for one in latents], 1),
        torch.stack([one.position for one in latents], 1),
        torch.stack([one.orientation for one in latents], 1),
        inference.shared.camera.K,
    )


def _log_density_of_prefixes(
    model: Air3D, inference: Inference, mixture: DefensiveMixture = NO_MIXTURE
) -> Tensor:
    """Log density of the camera and the first n objects under the defensive mixture: (B, N + 1), nats."""
    latents: list[Latents] = [step.latents for step in inference.objects]
    each = [z.posterior.log_prob(z.asset, z.position, z.orientation, model.space, mixture) for z in latents]
    camera = torch.zeros_like(each[0])
    posterior = model.camera(inference.shared.maps)
    if posterior is not None:
        camera = log_prob_mixture(posterior, inference.shared.orbit[:, model.space.free], mixture)
    return torch.stack([camera, *each], dim=-1).cumsum(-1)
