from dataclasses import replace

import numpy as np
import pytest
import torch
from table_scenes import bowl, cube, library, one_object, orbiting, random_scenes

from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine, EmbeddedSettings

MESHES = library()
COMPILED = EmbeddedEngine(MESHES, EmbeddedSettings(kernels="numba"))
VECTORISED = EmbeddedEngine(MESHES, EmbeddedSettings(kernels="torch"))


def assert_same(first, second):
    assert first.covered == second.covered
    assert torch.equal(first.fragments, second.fragments)
    assert torch.equal(first.crossings, second.crossings)


@pytest.mark.parametrize("distance", [0.7, 0.25, 0.1])
@pytest.mark.parametrize("side", [17, 48])
def test_compiled_and_vectorised_visibility_agree_exactly(distance, side):
    scenes = random_scenes(MESHES, 6, 3, side, seed=side, distance=distance)
    found = COMPILED.visibility(scenes.objects, scenes.camera)
    assert found.covered > 0
    assert len(found.crossings) > 0
    assert_same(found, VECTORISED.visibility(scenes.objects, scenes.camera))


def test_chunks_do_not_change_what_is_visible():
    scenes = random_scenes(MESHES, 5, 2, 24, seed=2)
    threads = torch.get_num_threads()
    found = COMPILED.visibility(scenes.objects, scenes.camera)
    try:
        torch.set_num_threads(3)
        assert_same(found, COMPILED.visibility(scenes.objects, scenes.camera))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("engine", [COMPILED, VECTORISED])
@pytest.mark.parametrize("distance", [0.7, 0.12])
def test_faces_are_those_that_a_ray_meets_first(engine, distance):
    """Slow reference: every ray against every face (Möller & Trumbore 1997)."""
    scenes = random_scenes(MESHES, 4, 1, 20, seed=7, distance=distance)
    found = engine.visibility(scenes.objects, scenes.camera)
    seen = np.full((4, 20, 20), -1)
    for layer, x, y, face in found.fragments[: found.covered].tolist():
        if 0 <= x < 20 and 0 <= y < 20:
            seen[layer, y, x] = face
    for scene in range(4):
        depth, face = first_hits(scenes, scene)
        same = seen[scene] == face
        # rays that meet an edge may take either face; nothing else may differ
        assert np.mean(same) > 0.995
        assert (np.isfinite(depth) == (seen[scene] >= 0)).mean() > 0.998


def first_hits(scenes, scene, near=0.01):
    mesh = int(scenes.objects.asset[scene, 0])
    rows = slice(int(MESHES.first_face[mesh]), int(MESHES.first_face[mesh + 1]))
    corners = MESHES.vertices.double()[MESHES.faces[rows]].numpy()
    rotation = (scenes.objects.rotation * scenes.objects.scale[..., None, None])[scene, 0].numpy()
    pose = scenes.camera.T_world_camera[scene].numpy()
    world = corners @ rotation.T + scenes.objects.position[scene, 0].numpy()
    view = (world - pose[:3, 3]) @ pose[:3, :3]
    side = scenes.camera.height
    y, x = np.mgrid[:side, :side] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(scenes.camera.K[scene].numpy()).T
    a, b = view[:, 1] - view[:, 0], view[:, 2] - view[:, 0]
    p = np.cross(rays[:, :, None], b)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / (a * p).sum(-1)
        u = -(view[:, 0] * p).sum(-1) * inverse
        q = np.cross(-view[:, 0], a)
        v = (rays[:, :, None] * q).sum(-1) * inverse
        t = (b * q).sum(-1) * inverse
    hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= near)
    t = np.where(hit, t, np.inf)
    return t.min(-1), np.where(hit.any(-1), t.argmin(-1) + rows.start, -1)


def test_nothing_behind_the_camera_or_without_area_is_seen():
    line = Mesh(
        vertices=np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]], np.float32),
        faces=np.array([[0, 1, 2], [0, 0, 1]]),
        normals=np.tile(np.array([0, 0, 1], np.float32), (3, 1)),
        colours=np.ones((3, 3), np.float32),
    )
    meshes = MeshLibrary.from_meshes([("cube", cube()), ("line", line)])
    camera = orbiting(torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64), 32)
    behind = one_object(torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64))
    thin = one_object(torch.zeros(1, 3, dtype=torch.float64), asset=1)
    for kernels in ("numba", "torch"):
        engine = EmbeddedEngine(meshes, EmbeddedSettings(kernels=kernels))
        for objects in (behind, thin):
            found = engine.visibility(objects, camera)
            assert len(found.fragments) == len(found.crossings) == 0


def test_empty_slots_and_empty_batches_are_drawn_as_nothing():
    scenes = random_scenes(MESHES, 2, 3, 16, seed=1)
    empty = replace(scenes.objects, asset=torch.full((2, 3), -1))
    for engine in (COMPILED, VECTORISED):
        layers = engine.layers(empty, scenes.camera, scenes.light)
        assert (layers.alpha == 0).all()
        assert (layers.rgb == 0).all()
        assert layers.depth.isinf().all()
        without = replace(
            scenes.objects, **{name: value[:, :0] for name, value in vars(scenes.objects).items()}
        )
        assert engine.layers(without, scenes.camera, scenes.light).rgb.shape == (2, 0, 3, 16, 16)


def test_a_silhouette_is_found_at_every_place_where_coverage_changes():
    """Beside each covered pixel of a smooth open bowl that has an empty neighbour, some edge passes."""
    meshes = MeshLibrary.from_meshes([("bowl", bowl())])
    engine = EmbeddedEngine(meshes)
    scenes = random_scenes(meshes, 8, 1, 32, seed=3)
    found = engine.visibility(scenes.objects, scenes.camera)
    mask = torch.zeros(8, 34, 34, dtype=torch.bool)
    layer, x, y, _ = found.fragments[: found.covered].long().unbind(1)
    mask[layer, y + 1, x + 1] = True
    crossed = torch.zeros(8, 34, 34, dtype=torch.bool)
    ends = found.fragments[found.crossings[:, :2].reshape(-1).long()].long()
    crossed[ends[:, 0], ends[:, 2] + 1, ends[:, 1] + 1] = True
    empty = ~mask
    beside = torch.zeros_like(mask)
    beside[:, 1:-1, 1:-1] = (
        empty[:, 2:, 1:-1] | empty[:, :-2, 1:-1] | empty[:, 1:-1, 2:] | empty[:, 1:-1, :-2]
    )
    contour = mask & beside
    assert crossed[contour].double().mean() > 0.97
