"""What an image is parsed into: the answer that scripts read and people look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_graphics.scene.scene import Scene

Box = tuple[float, float, float, float]
Matrix = tuple[tuple[float, ...], ...]
"""By rows."""


@dataclass(frozen=True)
class ParsedObject:
    """One object that the network found; pose fields are None in 2D.

    box_px: x, y of the top left corner, width, height, in pixels of the image as it was given: the
    smallest box that holds what was drawn of the object; in 3D also what other objects hide of it, but
    nothing beyond the image.  window_px: likewise, the attention window, which may reach beyond the image;
    None in 3D.
    identity: "pack/object"; identity_probability: given that there is an object.
    position_m: x, y, z, world frame.  quaternion_xyzw: world from object.
    T_camera_object: 4×4, rows.  position_std_m: posterior standard deviation of x, y, z, given the camera.
    Of kinds that look the same however they are turned, the rotation is none.
    """

    box_px: Box
    identity: str | None = None
    identity_probability: float | None = None
    position_m: tuple[float, float, float] | None = None
    quaternion_xyzw: tuple[float, float, float, float] | None = None
    T_camera_object: Matrix | None = None
    position_std_m: tuple[float, float, float] | None = None
    window_px: Box | None = None


@dataclass(frozen=True)
class ParsedCamera:
    """The camera that the image was seen from.

    K: 3×3, pixels of the image as it was given.  T_world_camera: 4×4, camera to world; both by rows.
    """

    K: Matrix
    T_world_camera: Matrix


@dataclass(frozen=True)
class Parse:
    """One image's scene: how many objects, which, where, and how well that explains the image.

    count_probabilities: probability of each count, index = count.
    log_likelihood: log p(image | parse), nats, at the model's own resolution.
    warning: one sentence when the image looks unlike what the model was trained on.
    observation, reconstruction: (H, W, 3) float32 in [0, 1], at the model's own resolution.
    prefixes: (count + 1, H, W, 3), the reconstruction after the first 0, 1, … objects.
    scene: what was inferred as a scene that can be drawn, its picture as large as the image, or as large as
    a scene's can be; None in 2D.
    """

    image: str
    model: str
    count: int
    count_probabilities: tuple[float, ...]
    log_likelihood: float
    warning: str | None
    objects: tuple[ParsedObject, ...]
    camera: ParsedCamera | None
    observation: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    prefixes: NDArray[np.float32]
    scene: Scene | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that scripts lean on, as plain lists and numbers, without the pictures."""
        return {
            "image": self.image,
            "model": self.model,
            "count": self.count,
            "count_probabilities": list(self.count_probabilities),
            "log_likelihood": self.log_likelihood,
            "warning": self.warning,
            "objects": [asdict(found) for found in self.objects],
            "camera": None if self.camera is None else asdict(self.camera),
        }
