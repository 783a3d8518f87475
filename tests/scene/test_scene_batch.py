"""Scenes as tensors and back."""

import numpy as np
import pytest
import torch

from inverse_graphics.errors import SceneError
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.scene.batch import SceneBatch
from inverse_graphics.scene.scene import Background, Camera, Light, Scene, SceneObject, Table


def tiny_library(*names):
    corners = np.eye(3, dtype=np.float32)
    mesh = Mesh(corners, np.array([[0, 1, 2]]), corners, corners)
    return MeshLibrary.from_meshes([(name, mesh) for name in names])


LIBRARY = tiny_library("a/one", "a/two", "b/one")


def scene(seed, objects, table=True, size=(20, 10)):
    rng = np.random.default_rng(seed)
    camera = Camera.model_validate(
        {
            "width_px": size[0],
            "height_px": size[1],
            "look_at": {"eye_m": rng.uniform(1, 2, 3).tolist(), "field_of_view_degrees": rng.uniform(20, 60)},
        }
    )
    items = tuple(
        SceneObject(
            asset=LIBRARY.names[rng.integers(3)],
            position_m=tuple(rng.normal(size=3)),
            quaternion_xyzw=tuple(rng.normal(size=4)),
            scale=rng.uniform(0.5, 2),
            tint=tuple(rng.random(3)),
        )
        for _ in range(objects)
    )
    return Scene(
        camera=camera,
        objects=items,
        light=Light(
            direction=tuple(rng.normal(size=3)), diffuse=tuple(rng.random(3)), ambient=tuple(rng.random(3))
        ),
        table=Table(size_m=tuple(rng.uniform(0.5, 2, 2)), colour=tuple(rng.random(3))) if table else None,
        background=Background(colour=tuple(rng.random(3))),
    )


SCENES = [scene(0, 2), scene(1, 0, table=False), scene(2, 4), scene(3, 1)]


def close(first, second, tolerance):
    """Whether two scenes are the same but for rounding; q and −q are one rotation."""
    for one, other in zip(first.objects, second.objects, strict=True):
        assert one.asset == other.asset
        assert one.position_m == pytest.approx(other.position_m, abs=tolerance)
        assert abs(np.dot(one.quaternion_xyzw, other.quaternion_xyzw)) == pytest.approx(1, abs=tolerance)
        assert one.scale == pytest.approx(other.scale, abs=tolerance)
        assert one.tint == pytest.approx(other.tint, abs=tolerance)
    np.testing.assert_allclose(first.camera.K, second.camera.K, rtol=tolerance)
    np.testing.assert_allclose(first.camera.T_world_camera, second.camera.T_world_camera, atol=tolerance)
    assert (first.camera.width_px, first.camera.height_px) == (
        second.camera.width_px,
        second.camera.height_px,
    )
    for field in ("direction", "diffuse", "ambient"):
        assert getattr(first.light, field) == pytest.approx(getattr(second.light, field), abs=tolerance)
    assert (first.table is None) == (second.table is None)
    if first.table:
        assert first.table.size_m == pytest.approx(second.table.size_m, abs=tolerance)
        assert first.table.colour == pytest.approx(second.table.colour, abs=tolerance)
    assert first.background.colour == pytest.approx(second.background.colour, abs=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("slots", [None, 4, 7])
def test_there_and_back(dtype, tolerance, slots):
    batch = SceneBatch.from_scenes(SCENES, LIBRARY, slots=slots, dtype=dtype)
    for index, expected in enumerate(SCENES):
        close(batch.scene(index, LIBRARY), expected, tolerance)


def test_shapes_types_and_empty_slots():
    batch = SceneBatch.from_scenes(SCENES, LIBRARY, slots=5)
    assert batch.objects.asset.shape == (4, 5)
    assert batch.objects.asset.dtype == torch.int64
    assert (batch.objects.asset >= 0).sum(1).tolist() == [2, 0, 4, 1]
    assert batch.objects.asset[0, 2:].tolist() == [-1, -1, -1]
    empty = batch.objects.asset < 0
    torch.testing.assert_close(batch.objects.rotation[empty], torch.eye(3).expand(int(empty.sum()), 3, 3))
    assert batch.camera.K.shape == (4, 3, 3)
    assert batch.camera.T_world_camera.shape == (4, 4, 4)
    assert (batch.camera.height, batch.camera.width) == (10, 20)
    assert batch.table.size[1].tolist() == [0, 0]
    assert batch.background.shape == batch.light.direction.shape == (4, 3)


def test_assets_are_numbered_as_in_the_library():
    batch = SceneBatch.from_scenes(SCENES, LIBRARY)
    for b, expected in enumerate(SCENES):
        names = [LIBRARY.names[index] for index in batch.objects.asset[b].tolist() if index >= 0]
        assert names == [item.asset for item in expected.objects]


def test_scenes_without_objects_have_no_slots():
    batch = SceneBatch.from_scenes([SCENES[1]], LIBRARY)
    assert batch.objects.rotation.shape == (1, 0, 3, 3)
    assert batch.scene(0, LIBRARY).objects == ()


def test_holes_between_slots_are_skipped_on_the_way_back():
    batch = SceneBatch.from_scenes([SCENES[2]], LIBRARY)
    batch.objects.asset[0, 1] = -1
    kept = batch.scene(0, LIBRARY).objects
    assert [item.asset for item in kept] == [SCENES[2].objects[i].asset for i in (0, 2, 3)]


def test_moving_reaches_every_tensor():
    batch = SceneBatch.from_scenes(SCENES, LIBRARY).to("meta", torch.float64)
    for part in (batch.objects, batch.camera, batch.light, batch.table):
        for value in vars(part).values():
            if isinstance(value, torch.Tensor):
                assert value.device.type == "meta"
                assert value.dtype in (torch.float64, torch.int64)
    assert batch.background.device.type == "meta"
    assert batch.objects.asset.dtype == torch.int64
    assert batch.camera.width == 20


@pytest.mark.parametrize(
    ("scenes", "slots", "message"),
    [
        ([], None, "got no scenes: expected at least one"),
        ([SCENES[0], scene(5, 1, size=(8, 8))], None, "images of 8×8, 20×10: expected one size in a batch"),
        (SCENES, 3, "a scene has 4 objects: expected at most 3"),
    ],
)
def test_batches_that_cannot_be(scenes, slots, message):
    with pytest.raises(SceneError, match=message):
        SceneBatch.from_scenes(scenes, LIBRARY, slots=slots)


def test_an_asset_that_the_library_does_not_have():
    with pytest.raises(SceneError, match=r"unknown asset .*: the library has a/one"):
        SceneBatch.from_scenes([SCENES[2]], tiny_library("a/one"))
    with pytest.raises(SceneError, match="the library has no meshes"):
        SceneBatch.from_scenes(SCENES, tiny_library())
    batch = SceneBatch.from_scenes([SCENES[2]], LIBRARY)
    batch.objects.asset[0, 0] = 3
    with pytest.raises(SceneError, match="asset index 3: the library has 3 meshes"):
        batch.scene(0, LIBRARY)


def test_values_that_no_scene_has():
    batch = SceneBatch.from_scenes([SCENES[2]], LIBRARY)
    batch.objects.tint[0, 1] = 2.0
    with pytest.raises(SceneError, match=r"element 0 of the batch is no scene: tint\.0: .* got 2\.0"):
        batch.scene(0, LIBRARY)
