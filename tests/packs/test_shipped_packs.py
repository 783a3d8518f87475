"""The packs that ship: what the script makes, in real sizes, closed, facing outwards, small."""

import numpy as np
import pytest
import torch
import trimesh

from inverse_graphics.assets.generate_packs import (  # type: ignore[import-not-found]
    CROCKERY,
    write_packs,
)
from inverse_graphics.packs.pack import load_pack, shipped_packs
from inverse_graphics.packs.symmetry import symmetric_angle

ASSETS = [asset for name in shipped_packs() for asset in load_pack(name).asset_names]


def mesh_of(asset):
    return load_pack(asset.partition("/")[0]).mesh(asset)


def welded(mesh):
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    solid.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=7)
    return solid


def test_the_packs_are_those_of_the_readme():
    assert shipped_packs() == ("crockery", "primitives")
    assert set(ASSETS) == {
        *("crockery/plate", "crockery/bowl", "crockery/mug", "crockery/glass", "crockery/pan"),
        *("primitives/cube", "primitives/sphere", "primitives/cylinder"),
    }
    assert all(load_pack(name).manifest.licence == "Apache-2.0" for name in shipped_packs())


def test_the_script_makes_the_shipped_files_again(tmp_path):
    write_packs(tmp_path)
    for name in shipped_packs():
        pack = load_pack(name)
        for made in sorted((tmp_path / name).glob("*.glb")):
            shipped = pack.folder / made.name
            expected, actual = (trimesh.load_scene(path).to_mesh() for path in (made, shipped))
            np.testing.assert_allclose(actual.vertices, expected.vertices, atol=1e-7)
            np.testing.assert_array_equal(actual.faces, expected.faces)


def test_they_are_small():
    size = sum(f.stat().st_size for name in shipped_packs() for f in load_pack(name).folder.iterdir())
    assert size < 300_000


@pytest.mark.parametrize("asset", ASSETS)
def test_every_body_is_closed_and_faces_outwards(asset):
    solid = welded(mesh_of(asset))
    bodies = solid.split(only_watertight=False)
    assert len(bodies) == (2 if asset in ("crockery/mug", "crockery/pan") else 1)
    for body in bodies:
        assert body.is_watertight
        assert body.is_winding_consistent
        assert body.volume > 0


@pytest.mark.parametrize("asset", ASSETS)
def test_normals_are_unit_and_on_the_side_of_their_faces(asset):
    mesh = mesh_of(asset)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    a, b, c = mesh.vertices[mesh.faces].swapaxes(0, 1)
    face_normals = np.cross(b - a, c - a)
    face_normals /= np.linalg.norm(face_normals, axis=1, keepdims=True)
    assert ((mesh.normals[mesh.faces] * face_normals[:, None]).sum(-1) > 0.5).all()


SIZES = {  # metres along x, y, z
    "crockery/plate": (0.26, 0.26, 0.023),
    "crockery/bowl": (0.15, 0.15, 0.0655),
    "crockery/mug": (0.1145, 0.082, 0.095),
    "crockery/glass": (0.076, 0.076, 0.12),
    "crockery/pan": (0.381, 0.22, 0.062),
    "primitives/cube": (0.1, 0.1, 0.1),
    "primitives/sphere": (0.1, 0.1, 0.1),
    "primitives/cylinder": (0.09, 0.09, 0.12),
}


@pytest.mark.parametrize("asset", ASSETS)
def test_sizes_origins_and_numbers_of_faces(asset):
    mesh = mesh_of(asset)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    np.testing.assert_allclose(high - low, SIZES[asset], atol=1e-3)
    if asset.startswith("crockery"):
        assert low[2] == 0
        assert 200 <= len(mesh.faces) <= 2000
        assert low[:2] == pytest.approx(
            -SIZES[asset][1] / 2, abs=1e-3
        )  # the base is centred; handles point to +x
    else:
        np.testing.assert_allclose(low, -high, atol=1e-6)


def test_the_mug_s_handle_ends_inside_its_wall():
    body, handle = sorted(_solid("mug").split(), key=lambda part: -part.volume)
    radius = np.linalg.norm(handle.vertices[:, :2], axis=1)
    ends = handle.vertices[handle.vertices[:, 0] < 0.03851]
    assert len(ends) > 10
    assert radius.min() > 0.0366 + 1e-4  # does not come through to the inside
    assert np.linalg.norm(ends[:, :2], axis=1).max() < 0.041 - 1e-4  # starts below the outer surface
    assert handle.vertices[:, 2].min() > 0.012
    assert body.bounds[1, 2] > handle.bounds[1, 2]


def _solid(name):
    solid = CROCKERY[name]()
    return trimesh.Trimesh(solid.vertices, solid.faces, process=False)


@pytest.mark.parametrize("asset", ASSETS)
def test_stated_symmetries_leave_the_shape_alone(asset):
    """To the resolution of the mesh: turning about a stated axis by one segment gives the same vertices."""
    pack, mesh = load_pack(asset.partition("/")[0]), mesh_of(asset)
    symmetry = pack.symmetry(asset)
    rotations = list(symmetry.discrete)
    if symmetry.axis is not None:
        step = 2 * torch.pi / 32
        cosine, sine = np.cos(step), np.sin(step)
        rotations.append(
            torch.tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], dtype=torch.float64)
        )
    places = {tuple(place) for place in (mesh.vertices * 1e5).round().astype(int).tolist()}
    for rotation in rotations:
        rotated = mesh.vertices.astype(np.float64) @ rotation.numpy().T * 1e5
        off = [place for place in rotated if not _near(place, places)]
        assert not off
    eye = torch.eye(3, dtype=torch.float64)
    assert symmetric_angle(eye, rotations[-1], symmetry) < 1e-6


def _near(place, places):
    grid = np.stack(np.meshgrid(*[[np.floor(x), np.ceil(x)] for x in place]), -1).reshape(-1, 3)
    return any(tuple(candidate) in places for candidate in grid.astype(int).tolist())
