"""The demonstration: inference on held-out images, rendering of example scenes, and an HTML page of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from inverse_graphics import __version__
from inverse_graphics.data.mnist import load_digits
from inverse_graphics.data.multi_object import MultiObjectImages
from inverse_graphics.evaluation.scene_images import InDistributionScenes, render_images
from inverse_graphics.inference.parser import load_parser
from inverse_graphics.io.files import storage_error
from inverse_graphics.io.images import write_depth, write_image, write_mask
from inverse_graphics.rendering.rendered_scene import RenderedScene
from inverse_graphics.rendering.rendered_scene import render as render_scene
from inverse_graphics.visualisation.page import Gallery, InferredImage, write_sheet

SCENES = ("breakfast", "primitives", "row", "crowded")
UNKNOWN_SCENE = "primitives"
"""A scene without objects of the models' training data, for which they should give a warning."""
SIZE = (320, 240)
SHEET = "index.html"
SPACE_MODEL, DIGIT_MODEL = "table_top", "multi_mnist"
ENLARGED = 4
"""Factor by which displayed images of scenes are larger than the network's input."""

SPACE_TEXT = (
    "Inferred by the model table_top: the objects' kinds, positions and orientations, and the camera's pose. "
    "It was trained on other rendered scenes of the same family. Outlines and reconstructions are rendered "
    "from the inferred scene. The last image shows objects that were not in the training data."
)
DIGIT_TEXT = (
    "Inferred by the model multi_mnist, trained without labels: it attends to one object after another and "
    "stops when no further object is probable. The digits are from MNIST's test set; the last image does not "
    "show digits."
)


@dataclass(frozen=True)
class Demonstration:
    """Rendered scenes and inference results.

    The last image of each gallery is an out-of-distribution one, without a true count.

    Attributes:
        galleries: one per model.
        scenes: rendered example scenes by name.
        seconds: total run time.
    """

    galleries: tuple[Gallery, ...]
    scenes: Mapping[str, RenderedScene]
    seconds: float

    @property
    def inferred(self) -> tuple[InferredImage, ...]:
        """All images, in the order of the page."""
        return tuple(one for gallery in self.galleries for one in gallery.inferred)


def demonstrate(count: int, seed: int) -> Demonstration:
    """Render the example scenes, and infer `count` images of tables and of digits; needs no network access.

    Args:
        count: images per model.
        seed: seed of the images.

    Raises:
        InverseGraphicsError: this installation is broken.
    """
    start = perf_counter()
    scenes = {name: render_scene(name, size=SIZE) for name in SCENES}
    unknown = scenes[UNKNOWN_SCENE].image
    galleries = (
        Gallery("Image to scene: objects on a table", SPACE_TEXT, _tables(count, seed, unknown)),
        Gallery("Image to scene: digits", DIGIT_TEXT, _digits(count, seed, unknown)),
    )
    return Demonstration(galleries, scenes, perf_counter() - start)


def _tables(count: int, seed: int, unknown: NDArray[np.float32]) -> list[InferredImage]:
    parser = load_parser(SPACE_MODEL)
    known = InDistributionScenes.from_document(parser.document)
    batch, library = known.sample(count, seed), known.family.library
    scenes = [batch.scene(index, library) for index in range(count)]
    truths = [tuple(placed.asset for placed in scene.objects) for scene in scenes]
    images = [*render_images(batch, known.family, ENLARGED), unknown]
    names = [*(f"table-{index}.png" for index in range(1, count + 1)), f"{UNKNOWN_SCENE}.png"]
    parses = parser.parse(images, names)
    inferred = [
        InferredImage(image, parse, len(truth), truth)
        for image, parse, truth in zip(images, parses, truths, strict=False)
    ]
    return [*inferred, InferredImage(images[-1], parses[-1])]


def _digits(count: int, seed: int, unknown: NDArray[np.float32]) -> list[InferredImage]:
    digits = MultiObjectImages(load_digits("test", "shipped")).fixed_set(count, seed)
    images = [np.repeat(image[..., None], 3, axis=-1) for image in digits.images]
    images.append(unknown)
    names = [*(f"digits-{index}.png" for index in range(1, count + 1)), f"{UNKNOWN_SCENE}.png"]
    parses = load_parser(DIGIT_MODEL).parse(images, names)
    return list(map(InferredImage, images, parses, [*digits.counts.tolist(), None]))


def write_demonstration(shown: Demonstration, folder: Path) -> Path:
    """Write the page and every image as a separate file; returns the page's path.

    Raises:
        StorageError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    for name, scene in shown.scenes.items():
        scene.save(folder / f"{name}.png")
        write_depth(folder / f"{name}-depth.png", scene.depth)
        write_mask(folder / f"{name}-mask.png", scene.mask)
    for inferred in shown.inferred:
        if inferred.true_count is not None:
            write_image(folder / inferred.parse.image, inferred.image)
    footer = f"inverse-graphics {__version__}, {shown.seconds:.1f} s."
    write_sheet(folder / SHEET, "An image goes in, a scene comes out", shown.galleries, shown.scenes, footer)
    return folder / SHEET
