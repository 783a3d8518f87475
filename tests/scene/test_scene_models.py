"""What a scene accepts, what it keeps, and its error messages."""

import math

import pytest
from pydantic import ValidationError

from inverse_graphics.io.documents import validation_message
from inverse_graphics.scene.camera import look_at_pose, orbit_pose, pinhole_intrinsics
from inverse_graphics.scene.scene import Camera, Light, Scene, SceneObject, Table

SIZE = {"width_px": 64, "height_px": 48}
CAMERA = {**SIZE, "orbit": {"azimuth_degrees": 30, "elevation_degrees": 40, "distance_m": 1}}
FULL = {
    **SIZE,
    "K": [[50, 0, 32], [0, 50, 24], [0, 0, 1]],
    "T_world_camera": [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2], [0, 0, 0, 1]],
}


def test_defaults_and_frozen_values():
    scene = Scene.model_validate({"camera": CAMERA})
    assert scene.objects == ()
    assert scene.table is None
    with pytest.raises(ValidationError):
        scene.table = Table(size_m=(1, 1))  # type: ignore[misc]
    hash(scene)


def test_yaw_is_a_rotation_about_z():
    item = SceneObject.model_validate({"asset": "a/b", "yaw_degrees": 90})
    assert item.quaternion_xyzw == pytest.approx((0, 0, math.sqrt(0.5), math.sqrt(0.5)))
    assert item == SceneObject(asset="a/b", quaternion_xyzw=item.quaternion_xyzw)


def test_quaternions_and_directions_are_brought_to_length_one_once():
    item = SceneObject(asset="a/b", quaternion_xyzw=(1, 2, 3, 4))
    assert math.hypot(*item.quaternion_xyzw) == pytest.approx(1, abs=1e-15)
    assert SceneObject(asset="a/b", quaternion_xyzw=item.quaternion_xyzw) == item
    light = Light(direction=(0, 0, 5))
    assert light.direction == (0, 0, 1)


def test_the_three_forms_of_a_camera():
    view = {"eye_m": [1, 2, 3], "target_m": [0.1, 0, 0], "field_of_view_degrees": 50}
    camera = Camera.model_validate({**SIZE, "look_at": view})
    assert camera.T_world_camera == tuple(map(tuple, look_at_pose([1, 2, 3], [0.1, 0, 0])))
    assert tuple(map(tuple, pinhole_intrinsics(math.radians(50), 64, 48))) == camera.K
    camera = Camera.model_validate(CAMERA)
    pose = orbit_pose(math.radians(30), math.radians(40), 1, [0, 0, 0])
    assert camera.T_world_camera == tuple(map(tuple, pose))
    assert Camera.model_validate(camera.model_dump()) == camera
    assert Camera.model_validate(FULL).K == ((50, 0, 32), (0, 50, 24), (0, 0, 1))


def test_a_camera_can_be_resized():
    camera = Camera.model_validate(FULL).resized(32, 96)
    assert (camera.width_px, camera.height_px) == (32, 96)
    assert camera.K == ((25, 0, 16), (0, 100, 48), (0, 0, 1))


def camera(**changes):
    return {"camera": {**CAMERA, **changes}}


def view(**changes):
    return {"camera": {**SIZE, "look_at": {"eye_m": [1, 1, 1], **changes}}}


def full(**changes):
    return {"camera": {**FULL, **changes}}


def item(**changes):
    return {"camera": CAMERA, "objects": [{"asset": "a/b", **changes}]}


IDENTITY4 = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
SKEWED = [[1, 0.1, 0, 0], *IDENTITY4[1:]]
MIRRORED = [[-1, 0, 0, 0], *IDENTITY4[1:]]
PROJECTIVE = [*IDENTITY4[:3], [0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "camera: missing"),
        ({"camera": CAMERA, "objcts": []}, "objcts: unknown field"),
        ({"camera": 3}, "camera: "),
        (camera(width_px=0), "camera: width_px: expected at least 1, got 0"),
        (camera(height_px=4097), "expected at most 4096, got 4097"),
        (camera(width_px=True), "width_px: got true, expected a number"),
        (camera(width_px=64.5), "width_px: expected a whole number"),
        (camera(K=FULL["K"]), "camera: K: unknown field"),
        (camera(look_at={"eye_m": [1, 1, 1]}), "camera: orbit: unknown field"),
        ({"camera": SIZE}, "camera.K: missing"),
        (
            camera(orbit={"azimuth_degrees": 0, "elevation_degrees": 91, "distance_m": 1}),
            "orbit.elevation_degrees",
        ),
        (camera(orbit={"azimuth_degrees": 0, "elevation_degrees": 9, "distance_m": 0}), "orbit.distance_m"),
        (view(eye_m=[1, 1]), "camera: look_at.eye_m: got 2 values, expected 3 numbers [x, y, z], metres"),
        (view(eye_m="here"), "camera: look_at.eye_m: got 'here', expected 3 numbers"),
        (view(eye_m=[0, 0, 0]), "eye_m and target_m are the same point"),
        (view(field_of_view_degrees=180), "look_at.field_of_view_degrees"),
        (full(K=[[50, 1, 32], [0, 50, 24], [0, 0, 1]]), "camera: K: expected [[fx, 0, cx]"),
        (full(K=[[50, 0, 32], [0, -50, 24], [0, 0, 1]]), "camera: K: expected [[fx, 0, cx]"),
        (full(K=[[50, 0, 32], [0, 50, 24]]), "camera.K: got 2 values, expected 3 rows of 3 numbers"),
        (full(K=[[50, 0, 32], [0, 50], [0, 0, 1]]), "camera.K.1: got 2 values, expected 3 numbers, a row"),
        (full(T_world_camera=SKEWED), "camera: T_world_camera: expected a rotation and a position"),
        (full(T_world_camera=MIRRORED), "camera: T_world_camera: expected a rotation and a position"),
        (full(T_world_camera=PROJECTIVE), "camera: T_world_camera: expected a rotation and a position"),
        (full(T_world_camera=[[0] * 4] * 4), "camera: T_world_camera: expected a rotation and a position"),
        (item(asset="mug"), "objects.0.asset: expected text that matches"),
        (item(asset="../etc/passwd"), "objects.0.asset: expected text that matches"),
        (item(position_m=[0, 0, float("nan")]), "objects.0.position_m.2: expected a finite number"),
        (item(position_m=[0, 0, float("inf")]), "objects.0.position_m.2: expected a finite number"),
        (item(position_m=[0, 0, 1e9]), "objects.0.position_m.2: expected at most 1000"),
        (item(position_m=[0, 0, True]), "objects.0.position_m.2: got true, expected a number"),
        (item(position_m=[0, 0, "up"]), "objects.0.position_m.2: expected a number"),
        (item(quaternion_xyzw=[0, 0, 0, 0]), "objects.0.quaternion_xyzw: all zero"),
        (item(quaternion_xyzw=[0, 0, 1]), "objects.0.quaternion_xyzw: got 3 values, expected 4 numbers"),
        (item(yaw_degrees=1, quaternion_xyzw=[0, 0, 0, 1]), "objects.0: got yaw_degrees and quaternion_xyzw"),
        (item(yaw_degrees="left"), "objects.0: yaw_degrees: got left, expected a number"),
        (item(yaw_degrees=float("nan")), "objects.0: yaw_degrees: got nan, expected a number"),
        (item(yaw_degrees=10**400), "objects.0: yaw_degrees"),
        (item(position_m=[0, 0, 10**400]), "objects.0.position_m.2: expected a number"),
        (full(K=[[10**400, 0, 32], [0, 50, 24], [0, 0, 1]]), "camera.K.0.0: expected a number"),
        (full(K=[[1e300, 0, 32], [0, 50, 24], [0, 0, 1]]), "camera.K.0.0: expected at most 1e+07"),
        (
            full(T_world_camera=[[1e300, 0, 0, 0], *IDENTITY4[1:]]),
            "camera.T_world_camera.0.0: expected at most 1e+07",
        ),
        (item(quaternion_xyzw=[1e300, 0, 0, 0]), "objects.0.quaternion_xyzw.0: expected at most 1e+07"),
        (item(scale=0), "objects.0.scale: expected at least 0.001"),
        (item(tint=[1, 1, 2]), "objects.0.tint.2: expected at most 1"),
        (
            {"camera": CAMERA, "objects": [{"asset": "a/b"}] * 65},
            "objects: expected at most 64 values, got 65",
        ),
        ({"camera": CAMERA, "table": {"size_m": [1, 0]}}, "table.size_m.1: expected more than 0"),
        ({"camera": CAMERA, "light": {"direction": [0, 0, 0]}}, "light.direction: all zero"),
        ({"camera": CAMERA, "background": {"colour": [1, 1]}}, "background.colour: got 2 values"),
        ({"camera": CAMERA, "background": "sky"}, "background: "),
    ],
)
def test_every_mistake_is_named_on_one_line(document, expected):
    with pytest.raises(ValidationError) as caught:
        Scene.model_validate(document)
    line = validation_message(caught.value)
    assert expected in line
    assert "\n" not in line
