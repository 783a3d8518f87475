"""A replay buffer of images and the scenes found for them by search.

Searching costs about a hundred times as much as a training step on the result. Source: Hewitt et al. 2020,
"Learning to learn generative programs with memoised wake-sleep", here with a stream of images instead of a
fixed set.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inverse_graphics.distributions.draws import draw_integers
from inverse_graphics.families.family import SceneLatents
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.observation.observation import Observation

DARKEST, BRIGHTEST = -0.5, 1.5
"""Range in which stored images are quantised to 8 bits, far finer than their noise."""


class ReplayBuffer(nn.Module):
    """A ring buffer of the last `size` searched images and their scenes; saved in checkpoints."""

    images: Tensor
    orbit: Tensor
    asset: Tensor
    position: Tensor
    orientation: Tensor
    K: Tensor
    seen: Tensor

    def __init__(self, model: Air3D, size: int) -> None:
        super().__init__()
        side, slots = model.space.family.image_size, model.max_objects
        orientation = (3, 3) if model.space.floating else ()
        self.register_buffer("images", torch.zeros(size, 3, side, side, dtype=torch.uint8))
        self.register_buffer("orbit", torch.zeros(size, 3))
        self.register_buffer("asset", torch.full((size, slots), -1))
        self.register_buffer("position", torch.zeros(size, slots, 2))
        self.register_buffer("orientation", torch.zeros(size, slots, *orientation))
        self.register_buffer("K", model.space.K.repeat(size, 1, 1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def add(self, observation: Observation, scenes: SceneLatents) -> None:
        """Replace the oldest entries by B images and their scenes."""
        images, size = observation.rgb, len(self.images)
        at = (self.seen + torch.arange(len(images), device=images.device)) % size
        share = (images - DARKEST) / (BRIGHTEST - DARKEST)
        self.images[at] = (255 * share).round().clamp(0, 255).to(torch.uint8)
        for name, part in vars(scenes).items():
            getattr(self, name)[at] = part
        self.seen += len(images)

    def sample(self, count: int, generator: torch.Generator) -> tuple[Observation, SceneLatents]:
        """Sample `count` stored (quantised) images and their scenes."""
        filled = min(int(self.seen), len(self.images))
        at = draw_integers(filled, (count,), generator, self.images)
        images = DARKEST + (BRIGHTEST - DARKEST) / 255 * self.images[at].float()
        scenes = SceneLatents(
            self.orbit[at], self.asset[at], self.position[at], self.orientation[at], self.K[at]
        )
        return Observation(images, K=scenes.K), scenes
