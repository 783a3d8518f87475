"""Making a data set of a scene family: scenes drawn, rendered, and written part by part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from inverse_graphics import __version__
from inverse_graphics.devices import resolve_device
from inverse_graphics.families.dataset import (
    DOCUMENT,
    PART,
    TRUTH,
    Dataset,
    DatasetDocument,
    DatasetItem,
    DatasetSettings,
    OrbitTruth,
    Truth,
    part_folder,
)
from inverse_graphics.families.family import SceneFamily, SceneSample
from inverse_graphics.families.registry import build_family
from inverse_graphics.io.files import atomic_folder
from inverse_graphics.io.images import mask_colour, millimetres, to_bytes
from inverse_graphics.io.parts import (
    SHEET,
    PartMaker,
    begin_set,
    complete_set,
    make_missing_parts,
    write_contact_sheet,
)
from inverse_graphics.observation.model import ChannelsLast
from inverse_graphics.observation.observation import Observation, Rendered
from inverse_graphics.packs.appearance import appearance_hash
from inverse_graphics.packs.pack import Pack, load_pack
from inverse_graphics.rendering.backdrop import table_and_background
from inverse_graphics.rendering.compositing import compose
from inverse_graphics.rendering.engine import Layers, RenderEngine
from inverse_graphics.rendering.engines import make_engine
from inverse_graphics.rendering.rendering import Rendering, render
from inverse_graphics.scene.batch import SceneBatch

SHEET_CELL = 128
"""Least side of an image on the contact sheet, pixels; smaller ones are enlarged by whole numbers."""


def make_dataset(
    settings: DatasetSettings,
    folder: Path | str,
    workers: int = 1,
    packs: Sequence[Pack] = (),
    advanced: Callable[[int], object] = lambda _: None,
    device: str = "cpu",
) -> Dataset:
    """Make a data set, or what is still missing of it; its bytes do not depend on the number of workers.

    Ctrl-C leaves what is finished; the same call goes on.

    Args:
        settings: what the data set is made from.
        folder: empty, or of a data set of the same settings that is to be completed.
        workers: processes that draw, each on one thread; 1 draws in this process. More are spawned, so a
            script calls this under `if __name__ == "__main__":`.
        packs: one's own, in place of those that the family's settings name; shipped ones need not be given.
        advanced: called with the number of images that are there.
        device: where images are rendered, "cpu", "cuda" or "cuda:N"; scenes and noise are the same on all.

    Raises:
        DeviceError: this machine has no such device.
        DataError: something else lies in the folder, or a data set of other settings; or a worker was killed.
        AssetError, SceneError, EngineError: what the settings name cannot be used.
        StorageError: a file cannot be written.
    """
    folder = Path(folder)
    maker = ScenePartMaker.from_settings(settings, packs, device)
    seen = appearance_hash(maker.family.appearances)
    wanted = DatasetDocument(settings=settings, packs_hash=seen, versions=_versions())
    document = begin_set(folder / DOCUMENT, wanted, "data set", frozenset({"complete"}))
    load_maker = partial(_load_maker, settings, [pack.folder for pack in packs], device, folder)
    make_missing_parts(settings.parts(folder), partial(maker.make, folder), load_maker, workers, advanced)
    if not document.complete:
        document = document.model_copy(update={"complete": True})
        _write_sheet(Dataset(folder, document))
        complete_set(folder / DOCUMENT, document)
    return Dataset(folder, document)


def _load_maker(settings: DatasetSettings, packs: Sequence[Path], device: str, folder: Path) -> PartMaker:
    maker = ScenePartMaker.from_settings(settings, [load_pack(pack) for pack in packs], device)
    return partial(maker.make, folder)


def _versions() -> dict[str, str]:
    return {"inverse-graphics": __version__} | {name: metadata.version(name) for name in ("torch", "numpy")}


def _write_sheet(dataset: Dataset) -> None:
    factor = max(1, -(-SHEET_CELL // dataset.document.settings.family.image_size))
    images = (Image.open(dataset.path("images", index)) for index in range(len(dataset)))
    write_contact_sheet(dataset.folder / SHEET, images, factor)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one thread: with several, sums may be rounded in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


LAYER_PIXELS = 2**22
"""Pixels of layers that are drawn at once."""
_PALETTE = [channel for index in range(256) for channel in mask_colour(index)]


@dataclass(frozen=True)
class ScenePartMaker:
    """Makes the parts of one data set, each from its seed and its number alone."""

    settings: DatasetSettings
    family: SceneFamily
    engine: RenderEngine
    device: torch.device

    @classmethod
    def from_settings(
        cls, settings: DatasetSettings, packs: Sequence[Pack] = (), device: str = "cpu"
    ) -> ScenePartMaker:
        """Load what the settings name.

        Raises:
            DeviceError: this machine has no such device.
            AssetError, SceneError, EngineError: what they name cannot be used.
        """
        place = resolve_device(device)
        family = build_family(settings.family, packs)
        return cls(settings, family, make_engine(settings.engine, family.library.to(place)), place)

    def make(self, folder: Path, part: int) -> None:
        """Write a part, whole or not at all.

        Raises:
            SceneError: objects of a scene do not fit side by side.
            StorageError: a file cannot be written.
        """
        count = self.settings.parts(folder).images_in(part)
        lines = []
        with _one_thread(), atomic_folder(part_folder(folder, part)) as target:
            for what in ("images", "masks", "depth"):
                (target / what).mkdir()
            for drawn in self._draw(part, count):
                _write(target, drawn)
                lines.append(json.dumps(drawn.truth.model_dump(mode="json"), allow_nan=False) + "\n")
            (target / TRUTH).write_text("".join(lines), encoding="utf-8")

    def _draw(self, part: int, count: int) -> Iterator[DatasetItem]:
        """The first `count` images of a part; they are the same whatever `count` is."""
        generator = torch.Generator().manual_seed(_seed(self.settings.seed, part))
        at_once = LAYER_PIXELS // (self.family.image_size**2 * max(self.family.max_objects, 1))
        at_once = max(1, min(PART, at_once))
        for start in range(0, count, at_once):
            sample = self.family.sample(at_once, generator)
            for row, drawn in enumerate(self._render(sample, part * PART + start)):
                if start + row < count:
                    yield drawn

    def _render(self, sample: SceneSample, first: int) -> Iterator[DatasetItem]:
        scene = sample.scene.to(self.device)
        with torch.inference_mode():
            drawn, alone = render(scene, self.engine), self._alone(scene).cpu()
        rendering = Rendering(*(part.cpu() for part in drawn))
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
    ) -> DatasetItem:
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
        render = Rendered.from_rendering(rendering)[row : row + 1]
        observation = self._observed(render, index)
        depth = render.depth if observation.depth is None else observation.depth
        assert depth is not None
        return DatasetItem(observation.rgb[0].permute(1, 2, 0).numpy(), mask, depth[0, 0].numpy(), truth)

    def _observed(self, render: Rendered, index: int) -> Observation:
        """With observation noise, which depends on the seed and the image's number alone."""
        model = self.settings.observation_model
        if model is None:
            return Observation(render.rgb)
        key = np.array([self.settings.seed, index], np.uint64)
        return model.sample(render, ChannelsLast(np.random.Generator(np.random.Philox(key=key))))


def _seed(seed: int, part: int) -> int:
    """A number below 2⁶³ for each part of each data set, no two of them alike but by chance."""
    return int(np.random.SeedSequence([seed, part]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _write(folder: Path, drawn: DatasetItem) -> None:
    name = f"{drawn.truth.index:06d}.png"
    Image.fromarray(to_bytes(drawn.image)).save(folder / "images" / name)
    mask = Image.fromarray(drawn.mask, mode="P")
    mask.putpalette(_PALETTE)
    mask.save(folder / "masks" / name)
    Image.fromarray(millimetres(drawn.depth)).save(folder / "depth" / name)
