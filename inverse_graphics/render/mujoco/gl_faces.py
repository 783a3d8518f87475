"""What samples meet, by MuJoCo's OpenGL renderer: objects drawn with faces in colours of their own.

What MuJoCo's renderer draws on, and what it draws.

The one thread of a process in which OpenGL draws: a context belongs to a thread, engines to any.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.installation import load_mujoco, new_gl_context
from inverse_graphics.render.kernels import kernel
from inverse_graphics.render.mujoco.camera import Frame, MujocoCamera
from inverse_graphics.render.mujoco.meshes import NumberedModel, Placed
from inverse_graphics.render.sampled.engine import Faces
from inverse_graphics.render.sampled.windows import Windows

BUFFER_PX = 512
"""Side of what is drawn at once; larger pictures are drawn in tiles."""


class GlRenderer:
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

    def draw(self, eye: MujocoCamera, frame: Frame) -> NDArray[np.uint8]:
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


Result = TypeVar("Result")

_threads: dict[int, GlThread] = {}


class GlThread:
    """A thread with a context that stays alive.

    Raises:
        EngineError: OpenGL does not draw here.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inverse-graphics-gl")
        self._context = self._thread.submit(new_gl_context).result()

    def run(self, function: Callable[[], Result]) -> Result:
        """Call a function there and wait for what it returns."""
        return self._thread.submit(function).result()

    def run_later(self, function: Callable[[], object]) -> None:
        """Call a function there when there is time; asked from anywhere, that thread itself included."""
        with suppress(RuntimeError):  # at the end there are no threads any more, and nothing to be done
            self._thread.submit(function)


def gl_thread() -> GlThread:
    """The thread of this process; it is made at the first call.

    Raises:
        EngineError: OpenGL does not draw here.
    """
    if os.getpid() not in _threads:
        _threads[os.getpid()] = GlThread()
    return _threads[os.getpid()]


class GlFaces:
    """A `FaceFinder`.  The scene is one mesh that stays where it is; the camera moves about it.

    Raises:
        EngineError: MuJoCo is not installed, or there is no OpenGL here.
    """

    def __init__(self, library: MeshLibrary) -> None:
        self.library = library.to("cpu")
        self._first = library.first_face.tolist()
        self._numbered = NumberedModel.from_library(self.library, BUFFER_PX)
        self._thread = gl_thread()
        self._model_image = self._thread.run(lambda: GlRenderer(self._numbered.model, 1))
        weakref.finalize(self, self._thread.run_later, self._model_image.free).atexit = False

    def __reduce__(self) -> tuple[Any, ...]:
        return GlFaces, (self.library,)

    def find(self, windows: Windows) -> Faces:
        """The face of the library that each sample meets first, −1 where none: (n,) int32."""
        faces = np.full(int(windows.first[-1]), -1, np.int32)
        self._thread.run(lambda: self._draw(windows, faces))
        return faces

    def _draw(self, windows: Windows, faces: Faces) -> None:
        shown = None
        for layer in np.nonzero(windows.box[:, 2])[0].tolist():
            mesh = int(windows.mesh[layer])
            placed = self._numbered.placed[mesh]
            if placed is None:
                continue
            left, top, width, height = windows.box[layer].tolist()
            eye = MujocoCamera.from_projection(windows.rows[layer], windows.depth[layer], placed.radius)
            shape = (height * windows.factor, width * windows.factor)
            mine = faces[windows.first[layer] : windows.first[layer + 1]].reshape(shape)
            if placed is not shown:
                _show_numbers(self._model_image.geoms[0], placed)
                shown = placed
            for frame, tile in tiles(mine, left, top, windows.factor):
                pixels = self._model_image.draw(eye, frame)
                _decode(pixels, self._first[mesh], self._first[mesh + 1], tile)


def _show_numbers(geom: Any, placed: Placed) -> None:
    """Make an `MjvGeom` a mesh in the colours of its faces."""
    mujoco = load_mujoco()
    where, white = (placed.position, placed.rotation.ravel()), np.ones(4, np.float32)
    mujoco.mjv_initGeom(geom, mujoco.mjtGeom.mjGEOM_MESH, np.zeros(3), *where, white)
    geom.dataid = 2 * placed.number  # the odd one is its convex hull
    geom.matid = placed.number
    geom.texcoord = 1
    geom.emission = 1
    geom.category = mujoco.mjtCatBit.mjCAT_STATIC
    geom.objtype = mujoco.mjtObj.mjOBJ_GEOM


@kernel
def _decode(pixels: NDArray[np.uint8], first: int, last: int, faces: Faces) -> None:
    """Turn colours back into faces of the library."""
    height, width = faces.shape
    for y in range(height):
        for x in range(width):
            colour = pixels[height - 1 - y, x]
            code = colour[0] + 256 * colour[1] + 65536 * colour[2]
            faces[y, x] = first + code - 1 if 0 < code <= last - first else -1
