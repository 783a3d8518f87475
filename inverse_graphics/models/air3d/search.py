"""Search for a scene that explains an image: sample proposals, refine the best, resample one.

Refinement is gradient ascent on the likelihood, which converges to the nearest local optimum of an
orientation. Therefore each object of the resampled scene is also rotated by quarter or half rotations and
refined again.
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

INITIAL_ROTATION_STEP, INITIAL_POSITION_STEP = 0.12, 0.004
"""Step sizes of the first step, radians and metres; they fall linearly to a fifth."""


def refine(
    scenes: SceneLatents, observation: Observation, model: Air3D, steps: int, levels: int = 3
) -> SceneLatents:
    """Refine object poses by gradient ascent on the log-likelihood with Adam (Kingma and Ba 2015).

    Cameras and kinds are fixed. A scene whose log-likelihood at full resolution did not increase is returned
    unchanged.

    Args:
        scenes: B scenes.
        observation: their images.
        model: the model.
        steps: number of steps.
        levels: number of scales at which images are compared.
    """
    if steps == 0:
        return scenes
    move = torch.zeros_like(scenes.position, requires_grad=True)
    orientation = move.new_zeros(*scenes.asset.shape, 3 if model.space.floating else 1, requires_grad=True)
    adam = torch.optim.Adam(
        [
            {"params": [move], "lr": INITIAL_POSITION_STEP},
            {"params": [orientation], "lr": INITIAL_ROTATION_STEP},
        ],
        betas=(0.7, 0.9),
    )
    exact = model.observation_model
    surrogate = exact.pyramid(levels)
    before = scenes.orbit.new_zeros(len(scenes))
    for step in range(steps):
        for group, first in zip(
            adam.param_groups, (INITIAL_POSITION_STEP, INITIAL_ROTATION_STEP), strict=True
        ):
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


ROTATIONS = 4
"""Number of orientations evaluated per object: the current one, and three half or quarter rotations of it."""


class Search(NamedTuple):
    """Settings of a search.

    Attributes:
        proposals: scenes sampled per image from the posterior.
        refined: number of these that are refined by gradient ascent.
        steps: gradient steps of that refinement.
        levels: number of scales at which scenes are compared with the image.
        mixture: defensive mixture of the proposals.
        orientation_steps: gradient steps for each alternative orientation of each object; 0 to skip them.
    """

    proposals: int
    refined: int
    steps: int
    levels: int = 3
    mixture: DefensiveMixture = NO_MIXTURE
    orientation_steps: int = 0


def search_scenes(
    model: Air3D,
    observation: Observation,
    search: Search,
    temperature: float,
    generator: torch.Generator,
) -> SceneLatents:
    """Search for one scene per image.

    Args:
        model: the model, which proposes scenes.
        observation: B images.
        search: settings.
        temperature: temperature of the resampling weights.
        generator: for samples.

    Returns:
        B scenes, resampled by their tempered joint probability with the image.
    """
    surrogate = model.observation_model.pyramid(search.levels)
    proposals = propose(model, observation, search.proposals, generator, search.mixture, surrogate)
    scenes = proposals.resample_several(generator, temperature, search.refined)
    repeated = observation.repeat(search.refined)
    scenes = refine(scenes, repeated, model, search.steps, search.levels)
    log_joint = _log_joint(scenes, repeated, model).reshape(search.refined, -1)
    chosen = draw_categories(torch.softmax(log_joint.T / temperature, -1), 1, generator)[:, 0]
    scenes = _select(scenes, chosen)
    for slot in range(model.max_objects if search.orientation_steps else 0):
        scenes = choose_orientation(model, observation, scenes, slot, search)
    return scenes


def choose_orientation(
    model: Air3D, observation: Observation, scenes: SceneLatents, slot: int, search: Search
) -> SceneLatents:
    """Choose the best of several orientations of the object in `slot`.

    Each orientation is refined before comparison. Objects without an observable orientation are unchanged.
    """
    asset = scenes.asset[:, slot]
    rows = ((asset >= 0) & model.space.orientation_observable[asset]).nonzero()[:, 0]
    if not len(rows):
        return scenes
    tried, shown = _rotated(scenes[rows], slot), observation[rows].repeat(ROTATIONS)
    tried = refine(tried, shown, model, search.orientation_steps, search.levels)
    best = _select(tried, _log_joint(tried, shown, model).reshape(ROTATIONS, -1).argmax(0))
    return scenes.index_copy(rows, best)


def _rotated(scenes: SceneLatents, slot: int) -> SceneLatents:
    """Rotate one object of B scenes: ROTATIONS · B scenes; rotation w of scene b at w · B + b."""
    many = scenes.repeat(ROTATIONS)
    orientation = many.orientation.clone()
    ways = torch.arange(ROTATIONS, device=orientation.device).repeat_interleave(len(scenes))
    if orientation.dim() == 2:
        orientation[:, slot] += ways * (2 * math.pi / ROTATIONS)
    else:
        half = torch.cat([torch.zeros(1, 3), math.pi * torch.eye(3)]).to(orientation)
        orientation[:, slot] = orientation[:, slot] @ matrix_from_rotation_vector(half)[ways]
    return many.replace(orientation=orientation)


def _select(scenes: SceneLatents, chosen: Tensor) -> SceneLatents:
    """Select one of S scenes for each image.

    Args:
        scenes: S · B scenes.
        chosen: (B,), indices below S.
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
