"""The prior density of scenes: that of the family they are drawn from.

Objects are alike: the density is of ordered scenes, in any order. Where they may not cut into each other,
positions are uniform over the placements that fit; what part of all placements that is, is not made up for,
so with several objects densities are too small by the logarithm of how often objects of their kinds fit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inverse_graphics.families.table_top import TableTop
from inverse_graphics.models.air3d.scene_latents import StagedScenes
from inverse_graphics.models.air3d.scene_space import IMPOSSIBLE, Stage


def log_prior_of_prefixes(scenes: StagedScenes, stage: Stage) -> Tensor:
    """Log density of the camera, the first n objects, and of there being n: (B, N + 1), n = 0 … N, nats.

    scenes: of N objects each, all slots filled.
    """
    place = -(2 * stage.reach).log().sum()
    turned = 0.0 if stage.floating else -math.log(2 * math.pi)
    each = place + turned * stage.turns[scenes.asset].to(place) + _log_prior_of_kinds(scenes.asset, stage)
    camera = -(stage.orbit_high - stage.orbit_low)[stage.free].log().sum()
    objects = torch.cat([camera.expand(len(each), 1), each], dim=-1).cumsum(-1)
    return objects + stage.log_count_prior + interpenetration(scenes, stage)


def _log_prior_of_kinds(asset: Tensor, stage: Stage) -> Tensor:
    """Log-probability of each kind, given those before it.  asset: (B, N).  Returns (B, N), nats."""
    kinds, slots = len(stage.turns), torch.arange(asset.shape[1], device=asset.device)
    if not isinstance(stage.family, TableTop) or stage.family.settings.repeats:
        return torch.full(asset.shape, -math.log(kinds), device=asset.device)
    again = (asset[:, :, None] == asset[:, None, :]).tril(-1).any(-1)
    return torch.where(again, IMPOSSIBLE, -torch.log(kinds - slots))


def interpenetration(scenes: StagedScenes, stage: Stage) -> Tensor:
    """`IMPOSSIBLE` for prefixes in which two objects cut into each other, else 0: (B, N + 1), nats."""
    return torch.where(overlap(scenes, stage) > 0, IMPOSSIBLE, 0.0)


def overlap(scenes: StagedScenes, stage: Stage) -> Tensor:
    """By how much the first n objects come too close, summed over pairs: (B, N + 1), metres."""
    count, slots = scenes.asset.shape
    if not isinstance(stage.family, TableTop) or slots < 2:
        return scenes.position.new_zeros(count, slots + 1)
    gaps = stage.family.footprints.separation(scenes.asset, scenes.position, scenes.turn)
    short = (stage.family.settings.clearance_m - gaps).clamp(min=0).tril(-1)
    return torch.cat([short.new_zeros(count, 1), short.sum(-1).cumsum(-1)], dim=-1)
