"""Scenes sampled from the posterior, and how well each accounts for the image: importance sampling."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.sampler import Defensive, log_defended
from inverse_graphics.models.air import Inference, attend_infer_repeat
from inverse_graphics.models.air3d.network import Air3D, Latents
from inverse_graphics.models.air3d.prior import log_prior_of_camera, log_prior_of_prefixes
from inverse_graphics.models.air3d.staged import StagedScenes


class Proposals(NamedTuple):
    """S scenes for each of B images, every prefix of each being a scene of its own.

    scenes: S · B scenes of N objects, image b's s-th at s · B + b.  log_joint: (S, B, N + 1), log p(x, z, n).
    log_proposal: (S, B, N + 1), log q(z | x) of the same objects and camera, the count not being drawn.
    log_count: (S, B, N + 1), log w_n.  All nats.
    """

    scenes: StagedScenes
    log_joint: Tensor
    log_proposal: Tensor
    log_count: Tensor

    def log_weights(self, temperature: float = 1.0) -> Tensor:
        """log p(x, z, n)^{1/T} / q(z | x): (S, B, N + 1), nats.

        At T = 1 the mean over S of the sum over n estimates p(x) without bias.
        """
        return self.log_joint / temperature - self.log_proposal

    def log_evidence(self) -> Tensor:
        """The importance-weighted estimate of log p(x) (Burda et al. 2016): (B,), nats."""
        weights = self.log_weights()
        return weights.logsumexp((0, 2)) - torch.log(torch.tensor(float(len(weights))))

    def resample(self, generator: torch.Generator, temperature: float = 1.0) -> StagedScenes:
        """Draw one scene and count for each image by its weight: B scenes."""
        _, batch, counts = self.log_joint.shape
        flat = self.log_weights(temperature).permute(1, 0, 2).flatten(1)
        chosen = torch.multinomial(torch.softmax(flat, -1), 1, generator=generator)[:, 0]
        index = chosen // counts * batch + torch.arange(batch, device=chosen.device)
        scenes = StagedScenes(*(part[index] for part in self.scenes))
        slots = torch.arange(scenes.asset.shape[1], device=chosen.device)
        return scenes._replace(asset=scenes.asset.where(slots < (chosen % counts)[:, None], -1))


@torch.no_grad()
def propose(
    model: Air3D, images: Tensor, samples: int, generator: torch.Generator, defence: float = 0.0
) -> Proposals:
    """Draw `samples` scenes for each image.  images: (B, 3, H, W).

    defence: with which probability each latent is drawn from the prior instead of the posterior.
    """
    repeated = images.repeat(samples, 1, 1, 1)
    inference = attend_infer_repeat(model, repeated, Defensive(generator, defence))
    scenes = inferred_scenes(inference)
    posterior = model.camera(inference.shared.maps)
    log_q = _log_proposal_of_objects(model, inference, defence)
    log_joint = inference.log_likelihood + log_prior_of_prefixes(scenes, model.stage)
    if posterior is not None:
        log_q = log_q + log_defended(posterior, scenes.orbit[:, model.stage.free], defence)[:, None]
        log_joint = log_joint + log_prior_of_camera(model.stage)
    shape = (samples, len(images), -1)
    return Proposals(
        scenes, log_joint.reshape(shape), log_q.reshape(shape), inference.log_count.reshape(shape)
    )


def inferred_scenes(inference: Inference) -> StagedScenes:
    """All N objects of an inference, whatever their number is thought to be."""
    latents: list[Latents] = [step.latents for step in inference.objects]
    return StagedScenes(
        inference.shared.orbit,
        torch.stack([one.asset for one in latents], 1),
        torch.stack([one.position for one in latents], 1),
        torch.stack([one.turn for one in latents], 1),
    )


def _log_proposal_of_objects(model: Air3D, inference: Inference, defence: float) -> Tensor:
    """Σ_{i≤n} log q(z_i | x, z_<i), defended, for n = 0 … N: (B, N + 1), nats."""
    latents: list[Latents] = [step.latents for step in inference.objects]
    each = torch.stack(
        [z.posterior.log_prob(z.asset, z.position, z.turn, model.stage, defence) for z in latents], dim=-1
    )
    return torch.cat([torch.zeros_like(each[:, :1]), each], dim=-1).cumsum(-1)
