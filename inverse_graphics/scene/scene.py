"""The scene description: frozen, validated pydantic models.

Metres, world frame (right-handed, Z up, the table is z = 0), quaternions xyzw, RGB as in an image file
divided by 255. Simpler forms (`yaw_degrees`, `look_at`, `orbit`) are accepted and converted.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inverse_graphics.io.documents import validation_message
from inverse_graphics.scene.camera import look_at_pose, orbit_pose, pinhole_intrinsics, resized_intrinsics
from inverse_graphics.scene.numbers import (
    Colour,
    Direction,
    FieldOfView,
    Intensity,
    Length,
    Matrix3,
    Matrix4,
    Number,
    Pixels,
    Point,
    Quaternion,
)

MAX_OBJECTS = 64


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SceneObject(_Frozen):
    """One object and its pose.

    Attributes:
        asset: "pack/object".
        position_m: x, y, z of the object's origin, metres, world frame.
        quaternion_xyzw: Rotation from object to world, a unit quaternion; a rotation about Z may be given as
            `yaw_degrees` instead.
        scale: 1 for real size, 0.001 to 1000.
        tint: RGB in [0, 1], which multiplies the albedo.
    """

    asset: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}/[a-z0-9][a-z0-9_-]{0,63}$")]
    position_m: Point = (0.0, 0.0, 0.0)
    quaternion_xyzw: Quaternion = (0.0, 0.0, 0.0, 1.0)
    scale: Annotated[Number, Field(ge=0.001, le=1000)] = 1.0
    tint: Colour = (1.0, 1.0, 1.0)

    @model_validator(mode="before")
    @classmethod
    def _from_yaw(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "yaw_degrees" not in value:
            return value
        if "quaternion_xyzw" in value:
            raise ValueError("got yaw_degrees and quaternion_xyzw, expected one of them")
        rest = {key: entry for key, entry in value.items() if key != "yaw_degrees"}
        half = math.radians(_degrees(value["yaw_degrees"])) / 2
        return {**rest, "quaternion_xyzw": (0.0, 0.0, math.sin(half), math.cos(half))}


class LookAt(_Frozen):
    """A camera given by its position and its target; the field of view is over the image's height."""

    eye_m: Point
    target_m: Point = (0.0, 0.0, 0.0)
    field_of_view_degrees: FieldOfView = 40.0

    @model_validator(mode="after")
    def _has_direction(self) -> LookAt:
        if math.dist(self.eye_m, self.target_m) < 1e-6:
            raise ValueError("eye_m and target_m are the same point: expected two")
        return self

    def pose(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """T_world_camera, (4, 4)."""
        return look_at_pose(self.eye_m, self.target_m)


class Orbit(_Frozen):
    """A camera on a sphere about its target.

    Attributes:
        azimuth_degrees: seen from the target, 0 on the X axis, 90 on Y.
        elevation_degrees: above the horizontal.
    """

    azimuth_degrees: Number
    elevation_degrees: Annotated[Number, Field(ge=-90, le=90)]
    distance_m: Length
    target_m: Point = (0.0, 0.0, 0.0)
    field_of_view_degrees: FieldOfView = 40.0

    def pose(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """T_world_camera, (4, 4)."""
        azimuth, elevation = math.radians(self.azimuth_degrees), math.radians(self.elevation_degrees)
        return orbit_pose(azimuth, elevation, self.distance_m, self.target_m)


class _LookAtCamera(_Frozen):
    width_px: Pixels
    height_px: Pixels
    look_at: LookAt


class _OrbitCamera(_Frozen):
    width_px: Pixels
    height_px: Pixels
    orbit: Orbit


class Camera(_Frozen):
    """A pinhole camera; instead of its two matrices, `look_at` or `orbit` may be given.

    Attributes:
        width_px: Pixels, 1 to 4096.
        height_px: Pixels, 1 to 4096.
        K: 3×3 by rows, the intrinsic matrix, pixels, without skew.
        T_world_camera: 4×4 by rows, rigid, camera to world; OpenCV axes (x right, y down, z forward).
    """

    width_px: Pixels
    height_px: Pixels
    K: Matrix3
    T_world_camera: Matrix4

    @model_validator(mode="before")
    @classmethod
    def _from_view(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not ("look_at" in value or "orbit" in value):
            return value
        try:
            if "look_at" in value:
                by_target = _LookAtCamera.model_validate(value)
                return _camera_fields(by_target.look_at, by_target.width_px, by_target.height_px)
            on_orbit = _OrbitCamera.model_validate(value)
            return _camera_fields(on_orbit.orbit, on_orbit.width_px, on_orbit.height_px)
        except ValidationError as problem:
            raise ValueError(validation_message(problem)) from problem

    @model_validator(mode="after")
    def _is_pinhole(self) -> Camera:
        K, T = np.array(self.K), np.array(self.T_world_camera)
        if K[0, 0] <= 0 or K[1, 1] <= 0 or K[0, 1] or K[1, 0] or (K[2] != (0, 0, 1)).any():
            raise ValueError("K: expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx, fy > 0")
        rotation = T[:3, :3]
        rigid = np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-4 and np.linalg.det(rotation) > 0
        if not rigid or (T[3] != (0, 0, 0, 1)).any():
            raise ValueError("T_world_camera: expected a rotation and a position, last row [0, 0, 0, 1]")
        return self

    def resized(self, width_px: int, height_px: int) -> Camera:
        """Give the same view another number of pixels; pixels become oblong if the aspect ratio changes."""
        old, new = (self.width_px, self.height_px), (width_px, height_px)
        K = resized_intrinsics(np.array(self.K), old, new).tolist()
        return Camera(width_px=width_px, height_px=height_px, K=K, T_world_camera=self.T_world_camera)


class Light(_Frozen):
    """A directional light and an ambient one.

    A surface of albedo a and normal n has the colour a · (ambient + diffuse · max(0, n · direction)).

    Attributes:
        direction: Towards the light, world frame, a unit vector.
        diffuse: RGB of the directional light.
        ambient: RGB of the ambient light.
    """

    direction: Direction = (0.4, -0.3, 0.866)
    diffuse: Intensity = (0.65, 0.65, 0.65)
    ambient: Intensity = (0.4, 0.4, 0.4)


class Table(_Frozen):
    """A rectangular table top in the plane z = 0, centred at the origin.

    Attributes:
        size_m: Lengths along x and y, metres.
        colour: RGB albedo in [0, 1].
    """

    size_m: tuple[Length, Length]
    colour: Colour = (0.62, 0.47, 0.33)


class Background(_Frozen):
    """The background of the image.

    Attributes:
        colour: RGB in [0, 1].
    """

    colour: Colour = (0.82, 0.84, 0.87)


class Scene(_Frozen):
    """A complete scene: everything that determines its image.

    Attributes:
        camera: The camera.
        objects: At most 64 objects.
        light: The light.
        table: The table; None for none.
        background: The background, visible where there is neither object nor table.
    """

    camera: Camera
    objects: Annotated[tuple[SceneObject, ...], Field(max_length=MAX_OBJECTS)] = ()
    light: Light = Light()
    table: Table | None = None
    background: Background = Background()


def _camera_fields(view: LookAt | Orbit, width_px: int, height_px: int) -> dict[str, Any]:
    K = pinhole_intrinsics(math.radians(view.field_of_view_degrees), width_px, height_px)
    return {
        "width_px": width_px,
        "height_px": height_px,
        "K": K.tolist(),
        "T_world_camera": view.pose().tolist(),
    }


def _degrees(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e6 <= value <= 1e6:
        raise ValueError(f"yaw_degrees: got {str(value)[:40]}, expected a number of degrees")
    return float(value)
