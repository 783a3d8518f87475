"""What samples meet, by MuJoCo's OpenGL renderer: objects drawn with faces in colours of their own."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.render.kernels import kernel
from inverse_graphics.render.mujoco.eye import Eye
from inverse_graphics.render.mujoco.gl_canvas import BUFFER_PX, GlCanvas, tiles
from inverse_graphics.render.mujoco.gl_thread import gl_thread
from inverse_graphics.render.mujoco.installation import load_mujoco
from inverse_graphics.render.mujoco.meshes import NumberedModel, Placed
from inverse_graphics.render.sampled.averaging import Faces
from inverse_graphics.render.sampled.windows import Windows


class GlFaces:
    """A `FaceFinder`.  The scene is one mesh that stays where it is; the camera moves about it.

    Raises:
        EngineError: MuJoCo is not installed, or there is no OpenGL here.
    """

    def __init__(self, library: MeshLibrary) -> None:
        self.library = library.to("cpu")
        self._first = library.first_face.tolist()
        self._numbered = NumberedModel.of(self.library, BUFFER_PX)
        self._thread = gl_thread()
        self._canvas = self._thread.run(lambda: GlCanvas(self._numbered.model, 1))
        weakref.finalize(self, self._thread.run_later, self._canvas.free).atexit = False

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
            eye = Eye.of(windows.rows[layer], windows.depth[layer], placed.radius)
            shape = (height * windows.factor, width * windows.factor)
            mine = faces[windows.first[layer] : windows.first[layer + 1]].reshape(shape)
            if placed is not shown:
                _show_numbers(self._canvas.geoms[0], placed)
                shown = placed
            for frame, tile in tiles(mine, left, top, windows.factor):
                pixels = self._canvas.draw(eye, frame)
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
