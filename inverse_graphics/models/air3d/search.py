"""Search for a scene that explains an image: proposals, the best of them refined, one resampled.

Refinement is a few steps of gradient ascent on the likelihood. Gradients turn an object to the nearest
orientation that looks right, which may be the opposite of the true one. So each object of the scene that was
resampled is also tried turned by quarters or halves, and refined again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.distributions.draws import draw_categories
from inverse_graphics.distributions.sampler import NO_MIXTURE, DefensiveMixture
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.geometry.transforms import matrix_from_rotation_vector
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.proposals import propose
from inverse_graphics.models.air3d.scene_latents import draw_scenes
from inverse_graphics.observation.observation import Observation

FIRST_TURN, FIRST_MOVE = 0.12, 0.004
"""Lengths of the first step, radians and metres; later ones fall linearly to a fifth."""


def refined(
    scenes: SceneLatents, observation: Observation, model: Air3D, steps: int, levels: int = 3
) -> SceneLatents:
    """Move and turn objects by `steps` steps of Adam (Kingma and Ba 2015); cameras and kinds stay.

    Maximises the likelihood compared at `levels` scales. Scenes that end up explaining their image worse than
    before, at the image's own scale, are given back as they were.
    """
    if steps == 0:
        return scenes
    move = torch.zeros_like(scenes.position, requires_grad=True)
    orientation = move.new_zeros(*scenes.asset.shape, 3 if model.space.floating else 1, requires_grad=True)
    adam = torch.optim.Adam(
        [{"params": [move], "lr": FIRST_MOVE}, {"params": [orientation], "lr": FIRST_TURN}], betas=(0.7, 0.9)
    )
    exact = model.observation_model
    surrogate = exact.pyramid(levels)
    before = scenes.orbit.new_zeros(len(scenes))
    for step in range(steps):
        for group, first in zip(adam.param_groups, (FIRST_MOVE, FIRST_TURN), strict=True):
            group["lr"] = first * (1 - 0.8 * step / steps)
        drawn = draw_scenes(_moved(scenes, move, orientation, model), model.space, model.engine)
        if step == 0:
            before = exact.log_prob(observation, drawn.map(torch.Tensor.detach))
        explained = surrogate.log_prob(observation, drawn)
        move.grad, orientation.grad = torch.autograd.grad(-explained.sum(), [move, orientation])
        adam.step()
    with torch.no_grad():
        after = _moved(scenes, move, orientation, model)
        gained = exact.log_prob(observation, draw_scenes(after, model.space, model.engine)) > before
        return after.where(gained, scenes)


def _moved(scenes: SceneLatents, move: Tensor, orientation: Tensor, model: Air3D) -> SceneLatents:
    position = (scenes.position + move).clamp(-model.space.reach, model.space.reach)
    if model.space.floating:
        return scenes.replace(
            position=position, orientation=scenes.orientation @ matrix_from_rotation_vector(orientation)
        )
    return scenes.replace(position=position, orientation=scenes.orientation + orientation[..., 0])


TURNS = 4
"""In how many ways each object is tried: three half turns, or three quarter turns, beside as it is."""


class Search(NamedTuple):
    """How many proposals, and how much refinement.

    Attributes:
        tries: scenes sampled for each image from its posterior, with a defensive mixture.
        kept: how many of them are refined, by `steps` of gradient ascent.
        levels: scales at which they are compared with the image.
        turned: steps of refinement for each other orientation that is tried for each object; 0 for none.
    """

    tries: int
    kept: int
    steps: int
    levels: int = 3
    defence: DefensiveMixture = NO_MIXTURE
    turned: int = 0


def searched(
    model: Air3D,
    observation: Observation,
    search: Search,
    temperature: float,
    generator: torch.Generator,
) -> SceneLatents:
    """One scene for each of B images, resampled by how well it explains it, tempered."""
    surrogate = model.observation_model.pyramid(search.levels)
    proposals = propose(model, observation, search.tries, generator, search.defence, surrogate)
    scenes = proposals.resample_several(generator, temperature, search.kept)
    repeated = observation.repeat(search.kept)
    scenes = refined(scenes, repeated, model, search.steps, search.levels)
    log_joint = _log_joint(scenes, repeated, model).reshape(search.kept, -1)
    chosen = draw_categories(torch.softmax(log_joint.T / temperature, -1), 1, generator)[:, 0]
    scenes = _taken(scenes, chosen)
    for slot in range(model.max_objects if search.turned else 0):
        scenes = turned(model, observation, scenes, slot, search)
    return scenes


def turned(
    model: Air3D, observation: Observation, scenes: SceneLatents, slot: int, search: Search
) -> SceneLatents:
    """Scenes in which the object in `slot` has whichever of `TURNS` orientations explains its image best.

    Each is first refined by `search.turned` steps. Objects that look the same in all are left as they are.
    """
    asset = scenes.asset[:, slot]
    rows = ((asset >= 0) & model.space.orientation_observable[asset]).nonzero()[:, 0]
    if not len(rows):
        return scenes
    tried, shown = _in_all_ways(scenes[rows], slot), observation[rows].repeat(TURNS)
    tried = refined(tried, shown, model, search.turned, search.levels)
    best = _taken(tried, _log_joint(tried, shown, model).reshape(TURNS, -1).argmax(0))
    return scenes.index_copy(rows, best)


def _in_all_ways(scenes: SceneLatents, slot: int) -> SceneLatents:
    """B scenes as they are, and with one object turned: TURNS · B, scene b's w-th at w · B + b."""
    many = scenes.repeat(TURNS)
    orientation = many.orientation.clone()
    ways = torch.arange(TURNS, device=orientation.device).repeat_interleave(len(scenes))
    if orientation.dim() == 2:
        orientation[:, slot] += ways * (2 * math.pi / TURNS)
    else:
        half = torch.cat([torch.zeros(1, 3), math.pi * torch.eye(3)]).to(orientation)
        orientation[:, slot] = orientation[:, slot] @ matrix_from_rotation_vector(half)[ways]
    return many.replace(orientation=orientation)


def _taken(scenes: SceneLatents, chosen: Tensor) -> SceneLatents:
    """One of several scenes for each image.

    Args:
        scenes: S · B.
        chosen: (B,), below S.
    """
    images = len(chosen)
    return scenes.reshape(-1, images)[chosen, torch.arange(images, device=chosen.device)]


@torch.no_grad()
def _log_joint(scenes: SceneLatents, observation: Observation, model: Air3D) -> Tensor:
    """log p(image, scene): (B,), nats."""
    drawn = draw_scenes(scenes, model.space, model.engine)
    log_likelihood = model.observation_model.log_prob(observation, drawn)
    log_prior = model.space.family.log_prob(scenes)
    return log_likelihood + log_prior.gather(1, scenes.counts[:, None])[:, 0]
