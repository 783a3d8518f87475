"""What a search has come across: the best scene so far, and the whole way."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.models.air3d.stage import Stage
from inverse_graphics.models.air3d.staged import StagedScenes, nearest_first
from inverse_graphics.optimisation.starts import merged


class Optimised(NamedTuple):
    """What was found of B images by r searches each, S steps long.

    scenes: the best of each image, objects nearest first.  log_joint, log_likelihood: (B,), nats, of these:
    log p(x, scene) and log p(x | scene) at the image's own scale.  restarts: (B, r), the best log p(x, scene)
    of each search.  history: (B, r, S + 1), log p(x, scene) before the first step and after each.  path:
    S + 1 times B scenes, what the search that found the best went through.
    """

    scenes: StagedScenes
    log_joint: Tensor
    log_likelihood: Tensor
    restarts: Tensor
    history: Tensor
    path: tuple[StagedScenes, ...]

    def of_first(self, restarts: int) -> Tensor:
        """The best log p(x, scene) had there been only so many restarts: (B,), nats."""
        return self.restarts[:, :restarts].amax(dim=1)


class Trace:
    """Keeps what is seen on the way.  restarts: searches of each image, which lie in a row."""

    def __init__(self, restarts: int) -> None:
        self._restarts = restarts
        self._path: list[StagedScenes] = []
        self._joint: list[Tensor] = []
        self._best: tuple[StagedScenes, Tensor, Tensor] | None = None

    def add(self, scenes: StagedScenes, log_joint: Tensor, log_likelihood: Tensor) -> None:
        """Take note of where all searches are.  log_joint, log_likelihood: (B · r,)."""
        scenes = StagedScenes(*(part.detach().clone() for part in scenes))
        self._path.append(scenes)
        self._joint.append(log_joint)
        if self._best is None:
            self._best = (scenes, log_joint, log_likelihood)
            return
        kept, joint, likelihood = self._best
        better = log_joint > joint
        self._best = (
            merged(better, scenes, kept),
            torch.where(better, log_joint, joint),
            torch.where(better, log_likelihood, likelihood),
        )

    def best(self, stage: Stage) -> Optimised:
        """Choose among the restarts of each image."""
        assert self._best is not None
        scenes, joint, likelihood = self._best
        each = joint.reshape(-1, self._restarts)
        chosen = each.argmax(dim=1) + self._restarts * torch.arange(len(each))
        history = torch.stack(self._joint, dim=-1).reshape(len(each), self._restarts, -1)
        path = tuple(StagedScenes(*(part[chosen] for part in one)) for one in self._path)
        found = nearest_first(StagedScenes(*(part[chosen] for part in scenes)), stage)
        return Optimised(found, joint[chosen], likelihood[chosen], each, history, path)
