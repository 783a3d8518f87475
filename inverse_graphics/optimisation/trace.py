"""The record of a search: the best scene so far, and the scene at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.scene_latents import nearest_first
from inverse_graphics.models.air3d.scene_space import SceneSpace
from inverse_graphics.scene.tensor_batch import TensorBatch


@dataclass(frozen=True)
class Explanations(TensorBatch):
    """Scenes of images, objects nearest first, and their log-probabilities at the images' full resolution.

    Attributes:
        log_joint: (B,), log p(x, scene).
        log_likelihood: (B,), log p(x | scene); nats.
    """

    scenes: SceneLatents
    log_joint: Tensor
    log_likelihood: Tensor


class Optimised(NamedTuple):
    """The results for B images of r searches each, with S steps.

    Attributes:
        searches: the best scene of each search, B · r, those of an image adjacent.
        history: (B, r, S + 1), log p(x, scene) before the first step and after each, nats.
        path: the B · r scenes before the first step and after each, S + 1 entries.
    """

    searches: Explanations
    history: Tensor
    path: tuple[SceneLatents, ...]

    @property
    def restarts(self) -> Tensor:
        """The best log p(x, scene) of each search: (B, r), nats."""
        return self.searches.log_joint.reshape(self.history.shape[:2])

    @property
    def best(self) -> Explanations:
        """The best scene of each image: B."""
        return self.of_first(self.history.shape[1])

    @property
    def winners(self) -> Tensor:
        """The search that found the best scene of each image: (B,) int64, index into the B · r searches."""
        return self._winners(self.history.shape[1])

    def of_first(self, restarts: int) -> Explanations:
        """The best scene of each image among its first `restarts` searches: B."""
        return self.searches[self._winners(restarts)]

    def _winners(self, restarts: int) -> Tensor:
        images, searches = self.history.shape[:2]
        return self.restarts[:, :restarts].argmax(dim=1) + searches * torch.arange(
            images, device=self.history.device
        )


class Trace:
    """Records the scenes of searches, and keeps the best one of each.

    Args:
        restarts: number of searches of each image, which are adjacent.
    """

    def __init__(self, restarts: int) -> None:
        self._restarts = restarts
        self._path: list[SceneLatents] = []
        self._joint: list[Tensor] = []
        self._best: Explanations | None = None

    def add(self, scenes: SceneLatents, log_joint: Tensor, log_likelihood: Tensor) -> None:
        """Record the current scene of every search.

        Args:
            log_joint: (B · r,), nats.
            log_likelihood: (B · r,), nats.
        """
        here = Explanations(scenes.map(lambda part: part.detach().clone()), log_joint, log_likelihood)
        self._path.append(here.scenes)
        self._joint.append(log_joint)
        best = self._best
        self._best = here if best is None else here.where(log_joint > best.log_joint, best)

    def found(self, space: SceneSpace) -> Optimised:
        """The results of all recorded steps."""
        assert self._best is not None
        history = torch.stack(self._joint, dim=-1)
        history = history.reshape(-1, self._restarts, history.shape[-1])
        ordered = self._best.replace(scenes=nearest_first(self._best.scenes, space))
        return Optimised(ordered, history, tuple(self._path))
