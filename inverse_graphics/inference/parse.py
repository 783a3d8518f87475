"""The result of inference for one image."""

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
    """One inferred object; fields of the pose are None in 2D.

    Attributes:
        box_px: x and y of the top left corner, width and height, pixels of the original image: the bounding
            box of the rendered object, in 3D including occluded parts, clipped to the image.
        identity: "pack/object".
        identity_probability: The probability of this identity, given that the object is present.
        position_m: x, y, z, metres, world frame.
        quaternion_xyzw: Rotation from object to world; the identity for kinds whose orientation is not
            observable.
        T_camera_object: 4×4 by rows, object to camera.
        position_std_m: Posterior standard deviation of x, y, z, metres, given the camera.
        window_px: The attention window, as `box_px`, which may reach beyond the image; None in 3D.
    """

    box_px: Box
    identity: str | None = None
    identity_probability: float | None = None
    position_m: tuple[float, float, float] | None = None
    quaternion_xyzw: tuple[float, float, float, float] | None = None
    T_camera_object: Matrix | None = None
    position_std_m: tuple[float, float, float] | None = None
    window_px: Box | None = None

    def __str__(self) -> str:
        if self.position_m is None:
            return "box ({:.0f}, {:.0f}, {:.0f}, {:.0f}) px".format(*self.box_px)
        return "{} at ({:.3f}, {:.3f}, {:.3f}) m".format(self.identity, *self.position_m)


@dataclass(frozen=True)
class ParsedCamera:
    """The camera from which the image was taken.

    Attributes:
        K: 3×3 by rows, pixels of the original image.
        T_world_camera: 4×4 by rows, camera to world.
    """

    K: Matrix
    T_world_camera: Matrix


@dataclass(frozen=True, repr=False)
class Parse:
    """The inferred scene of one image: count, objects, camera, and log-likelihood.

    Attributes:
        image: The image's name.
        model: The model's name.
        count: The inferred number of objects.
        count_probabilities: The probability of each count, by index.
        log_likelihood: log p(image | parse), nats, at the model's own resolution.
        warning: One sentence if the image is unlike the training images, else None.
        objects: The inferred objects, in the order of the network's steps.
        camera: The camera; None in 2D.
        observation: (H, W, 3) float32 in [0, 1], the image at the model's own resolution.
        reconstruction: (H, W, 3), the inferred scene, rendered at the same resolution.
        prefixes: (count + 1, H, W, 3), the reconstruction after the first 0, 1, … objects.
        scene: The inferred scene; its image has the size of the original, or the largest size that scenes
            allow; None in 2D.
        pixels: (H, W, 3) float32 in [0, 1], the original image; None if its name is that of a file.
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
    pixels: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        return f"Parse({self.image!r}, count={self.count}, objects=[{', '.join(map(str, self.objects))}])"

    def __str__(self) -> str:
        objects = "1 object" if self.count == 1 else f"{self.count} objects"
        lines = [f"{self.image}: {objects}, probability {self.count_probabilities[self.count]:.2f}"]
        lines += [f"  {found}" for found in self.objects]
        return "\n".join([*lines, f"  warning: {self.warning}"] if self.warning else lines)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain lists and numbers, without the images; the format that scripts can rely on."""
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
