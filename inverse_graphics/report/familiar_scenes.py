"""Scenes of the family that a 3D model knows, freshly drawn: it has never seen them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from inverse_graphics.data.foreign_images import Images
from inverse_graphics.documents import validated
from inverse_graphics.errors import ModelError
from inverse_graphics.families.families import build_family
from inverse_graphics.families.family import SceneFamily
from inverse_graphics.models.air3d.settings import Air3DSettings
from inverse_graphics.models.weights import ModelDocument
from inverse_graphics.render.engines import DEFAULT_ENGINE, make_engine
from inverse_graphics.render.rendering import render
from inverse_graphics.render.supersampled import enlarged
from inverse_graphics.scene.batch import SceneBatch

BATCH = 128
"""Scenes drawn at once."""
STREAM = 29
"""Tells these scenes' random numbers from those of training."""


@dataclass(frozen=True)
class FamiliarScenes:
    """A model's settings, and the family that they name."""

    settings: Air3DSettings
    family: SceneFamily

    @classmethod
    def of(cls, document: ModelDocument) -> FamiliarScenes:
        """What a 3D model was trained on.

        Raises:
            ModelError: its settings are not those of a 3D model.
        """
        settings = validated(Air3DSettings, document.settings, "the model's settings", ModelError)
        return cls(settings, build_family(settings.family))

    def sample(self, count: int, seed: int) -> SceneBatch:
        """Draw scenes."""
        return self.family.sample(count, generator_of(seed)).scene

    def photograph(self, scenes: SceneBatch, seed: int) -> Images:
        """Pictures of them with the noise that the model expects, (H, W, 3) each, within [0, 1]."""
        clean = torch.from_numpy(np.stack(pictures(scenes, self.family)))
        noise = torch.randn(clean.shape, generator=generator_of(seed + 1))
        return list((clean + self.settings.sigma * noise).clamp(0, 1).numpy())


def generator_of(seed: int) -> torch.Generator:
    """A generator of its own for each seed."""
    state = np.random.SeedSequence((STREAM, seed)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) % 2**63)


def pictures(scenes: SceneBatch, family: SceneFamily, times: int = 1) -> Images:
    """Draw scenes of a family with `times` as many rows and columns; (H, W, 3) each, within [0, 1]."""
    engine = make_engine(DEFAULT_ENGINE, family.library)
    scenes = replace(scenes, camera=enlarged(scenes.camera, times))
    drawn = []
    with torch.inference_mode():
        for start in range(0, len(scenes.background), BATCH):
            image = render(part(scenes, start, start + BATCH), engine).image
            drawn += list(image.clamp(0, 1).permute(0, 2, 3, 1).numpy())
    return drawn


def part(scenes: SceneBatch, start: int, stop: int) -> SceneBatch:
    """Some scenes of a batch."""

    def cut(value: object) -> object:
        return value[start:stop] if isinstance(value, torch.Tensor) else value

    groups = {
        name: replace(group, **{field: cut(value) for field, value in vars(group).items()})
        for name, group in vars(scenes).items()
        if name != "background"
    }
    return replace(scenes, **groups, background=scenes.background[start:stop])
