"""What MuJoCo's renderer draws on, and what it draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.render.mujoco.eye import Eye, Frame
from inverse_graphics.render.mujoco.installation import load_mujoco

BUFFER_PX = 512
"""Side of what is drawn at once; larger pictures are drawn in tiles."""


class GlCanvas:
    """A buffer, what OpenGL keeps of a model, and a stage of `count` geoms that one sets; nothing else on it.

    Made, used and freed in the thread that draws alone.
    """

    def __init__(self, model: Any, count: int) -> None:
        mujoco = self._mujoco = load_mujoco()
        self.context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        self.scene = mujoco.MjvScene(model, count)
        self.scene.ngeom = count
        for flag in range(mujoco.mjtRndFlag.mjNRNDFLAG):
            self.scene.flags[flag] = 0
        self._pixels = np.empty(BUFFER_PX * BUFFER_PX * 3, np.uint8)

    @property
    def geoms(self) -> Any:
        """What is on the stage."""
        return self.scene.geoms

    def draw(self, eye: Eye, frame: Frame) -> NDArray[np.uint8]:
        """Draw a rectangle of the picture, (height, width, 3), its last row first; valid until the next."""
        mujoco, (height, width) = self._mujoco, frame.shape
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.context)
        for camera in self.scene.camera:
            eye.look_through(camera, frame)
        rectangle = mujoco.MjrRect(0, 0, width, height)
        pixels = self._pixels[: height * width * 3].reshape(height, width, 3)
        mujoco.mjr_render(rectangle, self.scene, self.context)
        mujoco.mjr_readPixels(pixels, None, rectangle, self.context)
        return pixels

    def free(self) -> None:
        """Give the graphics memory back."""
        self.context.free()


def tiles(samples: NDArray[Any], left: int, top: int, factor: int) -> Iterator[tuple[Frame, NDArray[Any]]]:
    """Cut what is to be drawn into what fits.

    samples: (height, width), those of a window that begins at the pixel (left, top), `factor` along each side
    of a pixel.  Yields each tile's rectangle of the picture, and its part of `samples`, to write into.
    """
    for down in range(0, samples.shape[0], BUFFER_PX):
        for across in range(0, samples.shape[1], BUFFER_PX):
            tile = samples[down : down + BUFFER_PX, across : across + BUFFER_PX]
            yield Frame.of_samples(left, top, factor, across, down, tile.shape), tile
