"""Scenes moved uphill: a few steps of gradient ascent on how well they explain an image."""

from __future__ import annotations

import torch
from torch import Tensor

from inverse_graphics.geometry.rotation import matrix_from_rotation_vector
from inverse_graphics.likelihood import GaussianLikelihood, PyramidLikelihood
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.air3d.staged import StagedScenes, draw_whole

FIRST_TURN, FIRST_MOVE = 0.12, 0.004
"""Lengths of the first step, radians and metres; later ones fall linearly to a fifth."""


def refined(scenes: StagedScenes, images: Tensor, model: Air3D, steps: int, levels: int = 3) -> StagedScenes:
    """Move and turn objects by `steps` steps of Adam (Kingma and Ba 2015); cameras and kinds stay.

    Climbs the likelihood compared at `levels` scales. Scenes that end up explaining their image (B, 3, H, W)
    worse than before, at the image's own scale, are given back as they were.
    """
    if steps == 0:
        return scenes
    move = torch.zeros_like(scenes.position, requires_grad=True)
    turn = torch.zeros(*scenes.asset.shape, 3 if model.stage.floating else 1, requires_grad=True)
    adam = torch.optim.Adam(
        [{"params": [move], "lr": FIRST_MOVE}, {"params": [turn], "lr": FIRST_TURN}], betas=(0.7, 0.9)
    )
    scales, exact = PyramidLikelihood(model.settings.sigma, levels), GaussianLikelihood(model.settings.sigma)
    before = images.new_zeros(len(images))
    for step in range(steps):
        for group, first in zip(adam.param_groups, (FIRST_MOVE, FIRST_TURN), strict=True):
            group["lr"] = first * (1 - 0.8 * step / steps)
        picture = draw_whole(_moved(scenes, move, turn, model), model.stage, model.engine)
        if step == 0:
            before = exact.log_prob(images, picture.detach())
        explained = scales.log_prob(images, picture)
        move.grad, turn.grad = torch.autograd.grad(-explained.sum(), [move, turn])
        adam.step()
    with torch.no_grad():
        after = _moved(scenes, move, turn, model)
        gained = exact.log_prob(images, draw_whole(after, model.stage, model.engine)) > before
        return either(gained, after, scenes)


def either(first: Tensor, scenes: StagedScenes, others: StagedScenes) -> StagedScenes:
    """Of each pair of scenes one: the first where `first` (B,) says so."""

    def chosen(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(first.reshape(-1, *[1] * (one.dim() - 1)), one, other)

    return StagedScenes(*(chosen(*pair) for pair in zip(scenes, others, strict=True)))


def _moved(scenes: StagedScenes, move: Tensor, turn: Tensor, model: Air3D) -> StagedScenes:
    position = (scenes.position + move).clamp(-model.stage.reach, model.stage.reach)
    if model.stage.floating:
        return scenes._replace(position=position, turn=scenes.turn @ matrix_from_rotation_vector(turn))
    return scenes._replace(position=position, turn=scenes.turn + turn[..., 0])
