"""Finds the face at each sample by MuJoCo's OpenGL renderer: every face has its own colour.

All OpenGL calls of a process run in one thread: a context belongs to a thread, but engines are used from any.
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
from inverse_graphics.rendering.installation import load_mujoco, new_gl_context
from inverse_graphics.rendering.kernels import kernel
from inverse_graphics.rendering.mujoco.camera import Frame, MujocoCamera
from inverse_graphics.rendering.mujoco.meshes import NumberedModel, Placed
from inverse_graphics.rendering.sampled.engine import Faces
from inverse_graphics.rendering.sampled.windows import Windows

BUFFER_PX = 512
"""Side of the framebuffer, pixels; larger images are rendered in tiles."""


class GlRenderer:
    """A framebuffer, OpenGL's copy of a model, and a scene of `count` geoms that the caller sets.

    Created, used and freed in the OpenGL thread.
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
        """The geoms of the scene."""
        return self.scene.geoms

    def draw(self, eye: MujocoCamera, frame: Frame) -> NDArray[np.uint8]:
        """Render a rectangle of the image, (height, width, 3), last row first; valid until the next call."""
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
        """Release the graphics memory."""
        self.context.free()


def tiles(samples: NDArray[Any], left: int, top: int, factor: int) -> Iterator[tuple[Frame, NDArray[Any]]]:
    """Split a rectangle into tiles that fit into the framebuffer.

    Args:
        samples: (height, width), those of a window that begins at the pixel (left, top), `factor` along each
            side of a pixel.  Yields each tile's rectangle of the image, and its part of `samples`, to write
            into.
    """
    for down in range(0, samples.shape[0], BUFFER_PX):
        for across in range(0, samples.shape[1], BUFFER_PX):
            tile = samples[down : down + BUFFER_PX, across : across + BUFFER_PX]
            yield Frame.of_samples(left, top, factor, across, down, tile.shape), tile


Result = TypeVar("Result")

_threads: dict[int, GlThread] = {}


class GlThread:
    """A thread with an OpenGL context.

    Raises:
        EngineError: OpenGL does not work here.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inverse-graphics-gl")
        self._context = self._thread.submit(new_gl_context).result()

    def run(self, function: Callable[[], Result]) -> Result:
        """Call a function in the thread and wait for its result."""
        return self._thread.submit(function).result()

    def run_later(self, function: Callable[[], object]) -> None:
        """Call a function in the thread without waiting; may be called from any thread, also this one."""
        with suppress(RuntimeError):  # at interpreter exit the thread is gone, and nothing is left to do
            self._thread.submit(function)


def gl_thread() -> GlThread:
    """The OpenGL thread of this process, created at the first call.

    Raises:
        EngineError: OpenGL does not work here.
    """
    if os.getpid() not in _threads:
        _threads[os.getpid()] = GlThread()
    return _threads[os.getpid()]


class GlFaces:
    """A `FaceFinder`.  The scene is one fixed mesh; the camera moves about it.

    Raises:
        EngineError: MuJoCo is not installed, or there is no OpenGL here.
    """

    def __init__(self, library: MeshLibrary) -> None:
        self.library = library.to("cpu")
        self._first = library.first_face.tolist()
        self._numbered = NumberedModel.from_library(self.library, BUFFER_PX)
        self._thread = gl_thread()
        self._renderer = self._thread.run(lambda: GlRenderer(self._numbered.model, 1))
        weakref.finalize(self, self._thread.run_later, self._renderer.free).atexit = False

    def __reduce__(self) -> tuple[Any, ...]:
        return GlFaces, (self.library,)

    def find(self, windows: Windows) -> Faces:
        """The first face of the library at each sample, −1 where none: (n,) int32."""
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
                _show_numbers(self._renderer.geoms[0], placed)
                shown = placed
            for frame, tile in tiles(mine, left, top, windows.factor):
                pixels = self._renderer.draw(eye, frame)
                _decode(pixels, self._first[mesh], self._first[mesh + 1], tile)


def _show_numbers(geom: Any, placed: Placed) -> None:
    """Set an `MjvGeom` to a mesh with the colours of its faces."""
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
    """Convert colours to faces of the library."""
    height, width = faces.shape
    for y in range(height):
        for x in range(width):
            colour = pixels[height - 1 - y, x]
            code = colour[0] + 256 * colour[1] + 65536 * colour[2]
            faces[y, x] = first + code - 1 if 0 < code <= last - first else -1
