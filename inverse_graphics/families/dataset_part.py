"""One part of a data set: scenes drawn, rendered, and written as files that appear together or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inverse_graphics.families.dataset import PART, TRUTH, DatasetSettings, OrbitTruth, Truth, part_folder
from inverse_graphics.families.family import SceneFamily, SceneSample
from inverse_graphics.families.registry import build_family
from inverse_graphics.io.files import atomic_folder
from inverse_graphics.io.images import mask_colour, millimetres, to_bytes
from inverse_graphics.observation.gaussian import GaussianModel
from inverse_graphics.observation.model import ChannelsLast
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.packs.pack import Pack
from inverse_graphics.render.backdrop import table_and_background
from inverse_graphics.render.compositing import compose
from inverse_graphics.render.engine import Layers, RenderEngine
from inverse_graphics.render.engines import make_engine
from inverse_graphics.render.pictures import Rendering, render
from inverse_graphics.scene.batch import SceneBatch

LAYER_PIXELS = 2**22
"""Pixels of layers that are drawn at once."""
_PALETTE = [channel for index in range(256) for channel in mask_colour(index)]


class _Drawn(NamedTuple):
    """One image as arrays: (H, W, 3), (H, W), (H, W)."""

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    depth: NDArray[np.float32]
    truth: Truth


@dataclass(frozen=True)
class PartMaker:
    """Makes the parts of one data set, each from its seed and its number alone."""

    settings: DatasetSettings
    family: SceneFamily
    engine: RenderEngine

    @classmethod
    def from_settings(cls, settings: DatasetSettings, packs: Sequence[Pack] = ()) -> PartMaker:
        """Load what the settings name.

        Raises:
            AssetError, SceneError, EngineError: what they name cannot be used.
        """
        family = build_family(settings.family, packs)
        return cls(settings, family, make_engine(settings.engine, family.library))

    def make(self, folder: Path, part: int) -> int:
        """Write a part, whole or not at all, and give the number of its images.

        Raises:
            SceneError: objects of a scene do not fit side by side.
            StorageError: a file cannot be written.
        """
        count = min(PART, self.settings.images - part * PART)
        lines = []
        with atomic_folder(part_folder(folder, part)) as target:
            for what in ("images", "masks", "depth"):
                (target / what).mkdir()
            for drawn in self._draw(part, count):
                _write(target, drawn)
                lines.append(json.dumps(drawn.truth.model_dump(mode="json"), allow_nan=False) + "\n")
            (target / TRUTH).write_text("".join(lines), encoding="utf-8")
        return count

    def _draw(self, part: int, count: int) -> Iterator[_Drawn]:
        """The first `count` images of a part; they are the same whatever `count` is."""
        generator = torch.Generator().manual_seed(_seed(self.settings.seed, part))
        at_once = LAYER_PIXELS // (self.family.image_size**2 * max(self.family.max_objects, 1))
        at_once = max(1, min(PART, at_once))
        for start in range(0, count, at_once):
            sample = self.family.sample(at_once, generator)
            for row, drawn in enumerate(self._render(sample, part * PART + start)):
                if start + row < count:
                    yield drawn

    def _render(self, sample: SceneSample, first: int) -> Iterator[_Drawn]:
        scene = sample.scene
        with torch.inference_mode():
            rendering = render(scene, self.engine)
            alone = self._alone(scene)
        for row in range(len(sample)):
            yield self._item(sample, rendering, alone, row, first + row)

    def _alone(self, scene: SceneBatch) -> torch.Tensor:
        """(B, N), in how many pixels each object would be seen with no other there."""
        layers = self.engine.layers(scene.objects, scene.camera, scene.light)
        backdrop = table_and_background(scene.table, scene.background, scene.camera, scene.light)
        masks = [
            compose(Layers(*(part[:, slot : slot + 1] for part in layers)), backdrop).mask
            for slot in range(self.family.max_objects)
        ]
        return torch.stack([(mask == 0).sum(dim=(1, 2)) for mask in masks], dim=1)

    def _item(
        self, sample: SceneSample, rendering: Rendering, alone: torch.Tensor, row: int, index: int
    ) -> _Drawn:
        mask = (rendering.instance_mask[row] + 1).clamp(min=0).numpy().astype(np.uint8)
        count = int(sample.latents.counts[row])
        seen = np.bincount(mask.ravel(), minlength=count + 1)[1 : count + 1]
        azimuth, elevation, distance = sample.latents.orbit[row].tolist()
        truth = Truth(
            index=index,
            orbit=OrbitTruth(azimuth=azimuth, elevation=elevation, distance_m=distance),
            visible_px=tuple(seen.tolist()),
            alone_px=tuple(alone[row, :count].tolist()),
            scene=sample.scene.scene(row, self.family.library),
        )
        image = self._observed(Rendered(rendering.image[row]), index).rgb.permute(1, 2, 0).numpy()
        return _Drawn(image, mask, rendering.depth[row].numpy(), truth)

    def _observed(self, render: Rendered, index: int) -> Observation:
        """With observation noise, which depends on the seed and the image's number alone."""
        if self.settings.sigma == 0:
            return Observation(render.rgb)
        key = np.array([self.settings.seed, index], np.uint64)
        generator = ChannelsLast(np.random.Generator(np.random.Philox(key=key)))
        return GaussianModel(self.settings.sigma).sample(render, generator)


def _seed(seed: int, part: int) -> int:
    """A number below 2⁶³ for each part of each data set, no two of them alike but by chance."""
    return int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _write(folder: Path, drawn: _Drawn) -> None:
    name = f"{drawn.truth.index:06d}.png"
    Image.fromarray(to_bytes(drawn.image)).save(folder / "images" / name)
    mask = Image.fromarray(drawn.mask, mode="P")
    mask.putpalette(_PALETTE)
    mask.save(folder / "masks" / name)
    Image.fromarray(millimetres(drawn.depth)).save(folder / "depth" / name)
