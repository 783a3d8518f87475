"""One scene rendered to arrays: image, depth and instance mask."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_graphics.errors import EngineError, SceneError, SceneWarning
from inverse_graphics.io.documents import validated
from inverse_graphics.io.images import write_image
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import Pack, load_library
from inverse_graphics.rendering.engine import RenderEngine
from inverse_graphics.rendering.engines import DEFAULT_ENGINE, make_engine, with_samples
from inverse_graphics.rendering.rendering import render as render_batch
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Camera, Scene
from inverse_graphics.scene.scene_file import load_scene
from inverse_graphics.scene.standing import placement_warnings

MAX_LAYER_PIXELS = 100_000_000
"""Largest number of objects times pixels, about 8 GB of memory."""


@dataclass(frozen=True)
class RenderedScene:
    """A rendered scene.

    Attributes:
        scene: The scene, with the camera that rendered it.
        image: (H, W, 3) float32 in [0, 1], RGB.
        depth: (H, W) float32, metres along the camera's z axis, infinite where only the background is.
        mask: (H, W) int64, the number of the object that is visible in each pixel, from 1 in the order of
            `scene.objects`; 0 where there is none.
        warnings: One sentence for each object that floats or sinks into the table, and for each two that
            intersect, by more than 2 mm.
    """

    scene: Scene
    image: NDArray[np.float32]
    depth: NDArray[np.float32]
    mask: NDArray[np.int64]
    warnings: tuple[str, ...] = ()

    def save(self, path: str | Path) -> None:
        """Write the image to a file.

        Args:
            path: Its suffix chooses the format: .png, .jpg, .jpeg, .bmp or .webp.

        Raises:
            ImageError: The suffix names no known format.
            StorageError: The file cannot be written.
        """
        write_image(path, self.image)

    def visible_pixels(self) -> list[int]:
        """Count the visible pixels of each object."""
        return np.bincount(self.mask.ravel(), minlength=len(self.scene.objects) + 1)[1:].tolist()

    def box(self, number: int) -> tuple[int, int, int, int] | None:
        """Bound the visible part of an object.

        Args:
            number: The object's number in the mask, from 1.

        Returns:
            x and y of the top left corner, width and height, pixels; None if nothing of it is visible.
        """
        rows, columns = np.nonzero(self.mask == number)
        if not rows.size:
            return None
        left, top = int(columns.min()), int(rows.min())
        return (left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top)


def render(
    scene: Scene | str | Path,
    engine: str | Callable[[MeshLibrary], RenderEngine] = DEFAULT_ENGINE,
    *,
    size: tuple[int, int] | None = None,
    packs: Sequence[Pack] = (),
    supersample: int = 1,
) -> RenderedScene:
    """Render one scene on the CPU.

    Args:
        scene: A scene, the name of a shipped one, or a path to a scene file.
        engine: An engine's name (see `available_engines`), or a function that builds an engine from a
            `MeshLibrary`, such as an engine's class.
        size: Width and height, pixels; default the camera's. The vertical field of view does not change; the
            view is extended or cut at the left and the right.
        packs: Asset packs that the scene needs and that are not shipped.
        supersample: Samples along each side of a pixel, 1 to 16; the default, 1, keeps the engine's own.

    Returns:
        Image, depth and mask; what floats, sinks or intersects also raises a `SceneWarning`, on stderr.

    Raises:
        SceneError: No such scene, or it is not valid.
        AssetError: An object's pack or mesh is missing or cannot be used.
        EngineError: The engine is unknown or does not work here, or the image is too large for it.
    """
    if not isinstance(scene, Scene):
        scene = load_scene(scene)
    if size is not None:
        scene = with_size(scene, *size)
    _check_size(scene, supersample)
    library = load_library((placed.asset for placed in scene.objects), packs)
    drawing = make_engine(engine, library) if isinstance(engine, str) else engine(library)
    if supersample != 1:
        drawing = with_samples(drawing, supersample)
    with torch.inference_mode():
        rendered = render_batch(SceneBatch.from_scenes([scene], library), drawing)
    found = placement_warnings(scene, library)
    for text in found:
        warnings.warn(text, SceneWarning, stacklevel=2)
    return RenderedScene(
        scene=scene,
        image=rendered.image[0].permute(1, 2, 0).clamp(0, 1).numpy(),
        depth=rendered.depth[0].numpy(),
        mask=(rendered.instance_mask[0] + 1).clamp(min=0).numpy(),
        warnings=found,
    )


def with_size(scene: Scene, width_px: int, height_px: int) -> Scene:
    """Change the image size with the vertical field of view unchanged; left and right are extended or cut.

    Raises:
        SceneError: an image cannot have that size.
    """
    camera = scene.camera
    scale = height_px / camera.height_px
    K = np.array(camera.K)
    K[:2] *= scale
    K[0, 2] += (width_px - camera.width_px * scale) / 2
    fields = {"width_px": width_px, "height_px": height_px, "K": K.tolist()}
    document = fields | {"T_world_camera": camera.T_world_camera}
    resized = validated(Camera, document, f"size {width_px}x{height_px}", SceneError)
    return scene.model_copy(update={"camera": resized})


def _check_size(scene: Scene, supersample: int) -> None:
    width, height, count = scene.camera.width_px, scene.camera.height_px, len(scene.objects)
    if width * height * count * supersample**2 > MAX_LAYER_PIXELS:
        came = f"{count} objects at {width}x{height} pixels"
        came += f", {supersample}x{supersample} samples each," if supersample > 1 else ""
        raise EngineError(f"{came} are too much to render at once: choose a smaller size")
