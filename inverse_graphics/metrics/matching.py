"""Which inferred object is which true one."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from inverse_graphics.metrics.predicted_scenes import PredictedScenes


def matched_slots(predicted: PredictedScenes, truth: PredictedScenes, match_distance_m: float) -> Tensor:
    """Pair true with inferred objects by position alone, each at most once.

    Of all pairings in which no pair is further apart than `match_distance_m`, one with the most pairs is
    taken, and of those the one with the smallest sum of distances (Kuhn 1955).
    Returns (B, N) int64 for the slots of `truth`: the slot in `predicted`, −1 where none.
    """
    distance = torch.cdist(truth.position, predicted.position, compute_mode="donot_use_mm_for_euclid_dist")
    filled = (truth.asset >= 0)[:, :, None] & (predicted.asset >= 0)[:, None, :]
    allowed = filled & (distance <= match_distance_m)
    # one forbidden pair costs more than all allowed ones together
    forbidden = match_distance_m * (1 + min(distance.shape[1:], default=0)) + 1
    cost = torch.where(allowed, distance, forbidden)
    slots = torch.full_like(truth.asset, -1)
    for image in allowed.any(-1).any(-1).nonzero().squeeze(-1).tolist():
        rows, columns = (torch.from_numpy(index) for index in linear_sum_assignment(cost[image].numpy()))
        kept = allowed[image, rows, columns]
        slots[image, rows[kept]] = columns[kept]
    return slots
