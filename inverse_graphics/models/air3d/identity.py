"""Local expectation gradients for kinds: the bound is evaluated with every kind of each sampled object.

A sampled kind carries no gradient. With f_ik the bound if object i had kind k, its pose and all other objects
as sampled,

    ∇ E[f] ≈ Σ_i Σ_k f_ik ∇ q_i(k)

has a low variance and needs no score function; rendering one more layer is cheap. It is exact for the last
object. For earlier ones it neglects that their kind changes the input of later steps.
Source: Titsias and Lázaro-Gredilla 2015, "Local expectation gradients for black box variational inference".
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air import Inference
from inverse_graphics.models.air3d.network import Air3D, Latents
from inverse_graphics.models.air3d.proposals import sampled_latents
from inverse_graphics.observation.observation import Rendered
from inverse_graphics.rendering.engine import Layers

Score = Callable[[Rendered, SceneLatents], Tensor]
"""Maps renders of prefixes (B, N + 1, …) and their scenes to scores (B, N + 1), nats."""


def expected_over_kinds(model: Air3D, inference: Inference, weights: Tensor, score: Score) -> Tensor:
    """A surrogate whose gradient by the kinds' probabilities is that of the weighted bound: (B,), nats.

    Args:
        model: the model.
        inference: of B images.
        weights: (B, N + 1), weight of each prefix, treated as constant.
        score: the score of prefixes.
    """
    latents: list[Latents] = [step.latents for step in inference.objects]
    log_belief = torch.stack([one.posterior.identity for one in latents], 1)  # (B, N, K)
    with torch.no_grad():
        scores = class_scores(model, inference, score)
        behind = weights.detach().flip(-1).cumsum(-1).flip(-1)[:, 1:]  # prefixes that contain object i
        gain = (weights.detach()[:, None, None] * scores).sum(-1) - behind[..., None] * _orientation_kl(
            model, latents
        )
    divergence = (log_belief.exp() * log_belief).sum(-1) + math.log(log_belief.shape[-1])
    return ((log_belief.exp() * gain).sum(-1) - behind * divergence).sum(-1)


@torch.no_grad()
def class_scores(model: Air3D, inference: Inference, score: Score) -> Tensor:
    """Score each prefix with the kind of object i set to k: (B, N, K, N + 1), nats."""
    scenes = sampled_latents(inference)
    batch, slots = scenes.asset.shape
    kinds = len(model.space.orientation_observable)
    layers = _of_every_kind(model, scenes)
    rows = torch.arange(batch, device=scenes.asset.device)[:, None]
    own = torch.arange(slots, device=rows.device) * kinds + scenes.asset
    scores = []
    for slot in range(slots):
        for kind in range(kinds):
            taken = own.index_fill(1, own.new_tensor([slot]), slot * kinds + kind)
            some = Layers(*(part[rows, taken] for part in layers))
            prefixes = Rendered.from_prefixes(some, inference.shared.backdrop)
            other = scenes.replace(asset=scenes.asset.index_fill(1, own.new_tensor([slot]), kind))
            scores.append(score(prefixes, other))
    return torch.stack(scores, 1).reshape(batch, slots, kinds, slots + 1)


def _of_every_kind(model: Air3D, scenes: SceneLatents) -> Layers:
    """Render each object as every kind: layers of B scenes of N · K objects, kinds of an object adjacent."""
    kinds = len(model.space.orientation_observable)
    asset = torch.arange(kinds, device=scenes.asset.device).repeat(*scenes.asset.shape)
    position, orientation = (
        part.repeat_interleave(kinds, 1) for part in (scenes.position, scenes.orientation)
    )
    placed = model.space.scene(scenes.replace(asset=asset, position=position, orientation=orientation))
    return model.engine.layers(placed.objects, placed.camera, placed.light)


def _orientation_kl(model: Air3D, latents: list[Latents]) -> Tensor:
    """KL divergence of each object's orientation for every kind: (B, N, K), nats."""
    each = []
    for one in latents:
        for kind in range(len(model.space.orientation_observable)):
            asset = torch.full_like(one.asset, kind)
            spent = one.posterior.visible_orientation(asset, model.space).kl_to_uniform(one.orientation)
            each.append(model.space.orientation_observable[kind] * spent)
    return torch.stack(each, -1).reshape(*latents[0].asset.shape, len(latents), -1)
