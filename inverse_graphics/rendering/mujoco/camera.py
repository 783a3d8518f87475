"""MuJoCo's cameras: the only place where image axes are converted to OpenGL's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.errors import EngineError
from inverse_graphics.rendering.sampled.engine import NEAR

Floats = NDArray[np.float64]

SKEWED = 1e-4
MARGIN = 1e-3  # distance of the near and far planes from the object


class Frame(NamedTuple):
    """A rectangle of the image: its sides, pixels, and its number of samples.

    Attributes:
        shape: (height, width), samples.
    """

    left: float
    right: float
    top: float
    bottom: float
    shape: tuple[int, int]

    @classmethod
    def of_samples(
        cls, left: int, top: int, factor: int, across: int, down: int, shape: tuple[int, ...]
    ) -> Frame:
        """Part of a window that begins at the pixel (left, top): samples from (across, down) on."""
        height, width = shape
        x, y = left + across / factor, top + down / factor
        return cls(x, x + width / factor, y, y + height / factor, (height, width))


@dataclass(frozen=True)
class MujocoCamera:
    """A camera in the frame of a mesh of radius 1.

    Attributes:
        position: (3,).
        forward: (3,).
        up: (3,).
        focal: (2,), columns and rows.
        centre: (2,), columns and rows.
        near: along `forward`.
        far: along `forward`.
    """

    position: Floats
    forward: Floats
    up: Floats
    focal: tuple[float, float]
    centre: tuple[float, float]
    near: float
    far: float

    @classmethod
    def from_projection(cls, row: Floats, depth: Floats, radius: float) -> MujocoCamera:
        """Recover a camera from its projection.

        Args:
            row: (≥ 12,), pixel_from_object as in `layer_parameters`.
            depth: (2,), metres, of the mesh's nearest and farthest vertex.
            radius: metres, of the mesh, which is scaled to 1.

        Raises:
            EngineError: its K has skew.

        """
        frame = row[:12].reshape(3, 4)
        right, down, forward = frame[:, :3]
        scale = float(np.linalg.norm(forward))
        forward = forward / scale
        centre = (float(right @ forward) / scale, float(down @ forward) / scale)
        right, down = right / scale - centre[0] * forward, down / scale - centre[1] * forward
        focal = (float(np.linalg.norm(right)), float(np.linalg.norm(down)))
        if abs(right @ down) > SKEWED * focal[0] * focal[1]:
            raise EngineError("MuJoCo does not support a K with skew: set K[0, 1] to 0")
        metres = scale * radius  # of depth, to a mesh's radius
        near = max(NEAR, depth[0] * (1 - MARGIN))
        return cls(
            position=np.asarray(-np.linalg.solve(frame[:, :3], frame[:, 3]) / radius, np.float64),
            forward=forward,
            up=-down / focal[1],
            focal=focal,
            centre=centre,
            near=near / metres,
            far=max(depth[1] * (1 + MARGIN), near * (1 + MARGIN)) / metres,
        )

    def look_through(self, camera: Any, frame: Frame) -> None:
        """Set an `MjvGLCamera` to a rectangle of the image."""
        left, right = ((x - self.centre[0]) / self.focal[0] * self.near for x in (frame.left, frame.right))
        bottom, top = ((self.centre[1] - y) / self.focal[1] * self.near for y in (frame.bottom, frame.top))
        camera.pos[:] = self.position
        camera.forward[:] = self.forward
        camera.up[:] = self.up
        camera.frustum_center, camera.frustum_width = (left + right) / 2, (right - left) / 2
        camera.frustum_bottom, camera.frustum_top = bottom, top
        camera.frustum_near, camera.frustum_far = self.near, self.far
