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
from inverse_graphics.models.air3d.scene_latents import SceneLatents
from inverse_graphics.models.air3d.scene_space import IMPOSSIBLE, SceneSpace


def log_prior_of_prefixes(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """Log density of the camera, the first n objects, and of there being n: (B, N + 1), n = 0 … N, nats.

    scenes: of N objects each, all slots filled.
    """
    place = -(2 * space.reach).log().sum()
    turned = 0.0 if space.floating else -math.log(2 * math.pi)
    each = (
        place
        + turned * space.orientation_observable[scenes.asset].to(place)
        + _log_prior_of_kinds(scenes.asset, space)
    )
    camera = -(space.orbit_high - space.orbit_low)[space.free].log().sum()
    objects = torch.cat([camera.expand(len(each), 1), each], dim=-1).cumsum(-1)
    return objects + space.log_count_prior + interpenetration(scenes, space)


def _log_prior_of_kinds(asset: Tensor, space: SceneSpace) -> Tensor:
    """Log-probability of each kind, given those before it.  asset: (B, N).  Returns (B, N), nats."""
    kinds, slots = len(space.orientation_observable), torch.arange(asset.shape[1], device=asset.device)
    if not isinstance(space.family, TableTop) or space.family.settings.repeats:
        return torch.full(asset.shape, -math.log(kinds), device=asset.device)
    again = (asset[:, :, None] == asset[:, None, :]).tril(-1).any(-1)
    return torch.where(again, IMPOSSIBLE, -torch.log(kinds - slots))


def interpenetration(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """`IMPOSSIBLE` for prefixes in which two objects cut into each other, else 0: (B, N + 1), nats."""
    return torch.where(overlap(scenes, space) > 0, IMPOSSIBLE, 0.0)


def overlap(scenes: SceneLatents, space: SceneSpace) -> Tensor:
    """By how much the first n objects come too close, summed over pairs: (B, N + 1), metres."""
    count, slots = scenes.asset.shape
    if not isinstance(space.family, TableTop) or slots < 2:
        return scenes.position.new_zeros(count, slots + 1)
    gaps = space.family.footprints.separation(scenes.asset, scenes.position, scenes.orientation)
    short = (space.family.settings.clearance_m - gaps).clamp(min=0).tril(-1)
    return torch.cat([short.new_zeros(count, 1), short.sum(-1).cumsum(-1)], dim=-1)
