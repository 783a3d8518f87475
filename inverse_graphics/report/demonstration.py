"""The demonstration: scenes drawn, digits that were never learnt from inferred, and the page about both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from inverse_graphics import __version__
from inverse_graphics.data.mnist import load_digits
from inverse_graphics.data.multi_mnist import MultiMnist
from inverse_graphics.files import storage_error
from inverse_graphics.formats import write_depth, write_image, write_mask
from inverse_graphics.report.rendered_scene import RenderedScene, render_scene, with_size
from inverse_graphics.report.sheet import InferredImage, write_sheet
from inverse_graphics.scene.scene_file import read_scene
from inverse_graphics.scene_parser import SceneParser

SCENES = ("breakfast", "primitives", "row", "crowded")
SIZE = (320, 240)
SHEET = "index.html"


@dataclass(frozen=True)
class Demonstration:
    """What was drawn, and what was inferred of images; seconds: what it took.

    The last image is one of the scenes, for which the network was not made: it has no true count.
    """

    scenes: tuple[RenderedScene, ...]
    inferred: tuple[InferredImage, ...]
    seconds: float


def demonstrate(count: int, seed: int) -> Demonstration:
    """Draw the example scenes, and infer `count` images of test digits that `seed` chooses; offline.

    Raises:
        InverseGraphicsError: something of this installation is broken.
    """
    start = perf_counter()
    scenes = tuple(render_scene(with_size(read_scene(name), *SIZE), name) for name in SCENES)
    digits = MultiMnist(load_digits("test", "shipped")).fixed_set(count, seed)
    images = [np.repeat(image[..., None], 3, axis=-1) for image in digits.images]
    images.append(scenes[0].picture)  # of no digit at all, to be warned about
    names = [*(f"digits-{index}.png" for index in range(1, count + 1)), f"{scenes[0].name}.png"]
    parses = SceneParser.load().parse(images, names)
    truths: list[int | None] = [*digits.counts.tolist(), None]
    inferred = tuple(map(InferredImage, images, parses, truths))
    return Demonstration(scenes, inferred, perf_counter() - start)


def write_demonstration(shown: Demonstration, folder: Path) -> Path:
    """Write the page, and beside it every picture as a file of its own; returns the page.

    Raises:
        StorageError: something cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    for scene in shown.scenes:
        write_image(folder / f"{scene.name}.png", scene.picture)
        write_depth(folder / f"{scene.name}-depth.png", scene.depth)
        write_mask(folder / f"{scene.name}-mask.png", scene.mask)
    for inferred in shown.inferred[:-1]:
        write_image(folder / inferred.parse.image, inferred.image)
    footer = (
        f"inverse-graphics {__version__}, model {shown.inferred[0].parse.model}, {shown.seconds:.1f} s. The "
        "digits are from MNIST's test set and were never learnt from; the last image is none of digits."
    )
    title = "An image goes in, a scene comes out"
    write_sheet(folder / SHEET, title, shown.scenes, shown.inferred, footer)
    return folder / SHEET
