"""Importance sampling: scenes from the posterior, weighed by how well each explains the image."""

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
    """S scenes for each of B images, every prefix of each being a scene of its own.

    Attributes:
        scenes: S · B scenes of N objects, image b's s-th at s · B + b.
        log_joint: (S, B, N + 1), log p(x, z, n).
        log_proposal: (S, B, N + 1), log density with which objects and camera were sampled; the count was
            not.
        log_posterior: likewise log q(z, n | x), nats.
    """

    scenes: SceneLatents
    log_joint: Tensor
    log_proposal: Tensor
    log_posterior: Tensor

    def log_weights(self, temperature: float = 1.0) -> Tensor:
        """log [q (p/q)^{1/T} / proposal]: (S, B, N + 1), nats.

        At T = 1 the mean over S of the sum over n estimates p(x) without bias. Above, fitting q to the
        weights is one step of mirror descent on KL(q ‖ p), of length 1/T: it prefers what q already believes,
        so of several equal explanations it keeps to one.
        """
        gain = self.log_joint - self.log_posterior
        return gain / temperature + self.log_posterior - self.log_proposal

    def log_evidence(self) -> Tensor:
        """The importance-weighted estimate of log p(x) (Burda et al. 2016): (B,), nats."""
        weights = self.log_weights()
        return weights.logsumexp((0, 2)) - math.log(len(weights))

    def resample(self, generator: torch.Generator, temperature: float = 1.0) -> SceneLatents:
        """Resample one scene and count for each image by its weight: B scenes."""
        return self.resample_several(generator, temperature, 1)

    def resample_several(self, generator: torch.Generator, temperature: float, kept: int) -> SceneLatents:
        """Resample `kept` different ones for each image: kept · B scenes, image b's k-th at k · B + b.

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
    defence: DefensiveMixture = NO_MIXTURE,
    likelihood: Likelihood | None = None,
) -> Proposals:
    """Sample scenes of images from the posterior.

    Args:
        model: whose posterior.
        observation: B images.
        samples: S, scenes for each image.
        generator: of the samples.
        defence: with which probability latents are drawn from the prior instead of the posterior.
        likelihood: a surrogate that compares images with renders in place of the model's own.

    Returns:
        S · B scenes, with their densities.
    """
    sampler = DefensiveSampler(generator, defence)
    initial = encode_once(model, observation, samples, sampler)
    inference = attend_infer_repeat(
        model, observation.repeat(samples), sampler, initial=initial, likelihood=likelihood
    )
    scenes = sampled_latents(inference)
    log_joint = inference.log_likelihood + model.space.family.log_prob(scenes)
    log_r = _log_density_of_prefixes(model, inference, defence)
    log_q = _log_density_of_prefixes(model, inference) if any(defence) else log_r
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
    """Encode each image once for all its samples; if the camera is known, take the first step once, too.

    Args:
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
    """The same posterior for every sample of an image."""

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
    """All N objects of an inference, whatever count is inferred."""
    latents: list[Latents] = [step.latents for step in inference.objects]
    return SceneLatents(
        inference.shared.orbit,
        torch.stack([one.asset for one in latents], 1),
        torch.stack([one.position for one in latents], 1),
        torch.stack([one.orientation for one in latents], 1),
        inference.shared.camera.K,
    )


def _log_density_of_prefixes(
    model: Air3D, inference: Inference, defence: DefensiveMixture = NO_MIXTURE
) -> Tensor:
    """Log density of the camera and the first n objects, defensive mixture included: (B, N + 1), nats."""
    latents: list[Latents] = [step.latents for step in inference.objects]
    each = [z.posterior.log_prob(z.asset, z.position, z.orientation, model.space, defence) for z in latents]
    camera = torch.zeros_like(each[0])
    posterior = model.camera(inference.shared.maps)
    if posterior is not None:
        camera = log_prob_mixture(posterior, inference.shared.orbit[:, model.space.free], defence)
    return torch.stack([camera, *each], dim=-1).cumsum(-1)
