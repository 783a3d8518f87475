"""Reduced meshes look as before: shape, colours where they were; and GLB files give meshes back."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree
from solid_meshes import as_mesh, banded, can

from inverse_graphics.packs.glb_file import glb_bytes
from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.pack import ObjectSpec, load_mesh, load_pack
from inverse_graphics.packs.reduction import reduce_faces, reduce_texture
from inverse_graphics.packs.surface_samples import sample_surface


def apart(first, second, count=4000):
    """Distances, and differences of colours, of points on one surface from the nearest on another."""
    ones, others = sample_surface(first, count), sample_surface(second, 40_000)
    size = float(np.ptp(first.vertices, axis=0).max())
    match = cKDTree(others.features(size)).query(ones.features(size))[1]
    distances = np.linalg.norm(ones.positions - others.positions[match], axis=1)
    return distances, np.abs(ones.colours - others.colours[match]).max(axis=1)


@pytest.mark.parametrize("size", [0.1, 100.0])
def test_a_reduced_surface_lies_on_the_old_one(size):
    mesh = as_mesh(trimesh.creation.icosphere(5, size / 2), (0.2, 0.5, 0.7))
    reduced = reduce_faces(mesh, 1000, 64, 45)
    assert len(reduced.faces) <= 1020
    assert reduced.texture is None
    assert (reduced.colours == mesh.colours[0]).all()
    distances, _ = apart(reduced, mesh)
    assert np.percentile(distances, 99) < 0.02 * size
    radii = np.linalg.norm(reduced.vertices, axis=1)
    assert radii == pytest.approx(size / 2, rel=0.02)


def test_colours_are_baked_where_they_were():
    solid = trimesh.creation.icosphere(5, 0.05).apply_scale((1, 1, 0.5))
    mesh = as_mesh(solid, banded(solid, 3))
    reduced = reduce_faces(mesh, 600, 512, 45)
    assert len(reduced.faces) <= 612
    assert reduced.texture is not None
    assert max(reduced.texture.shape[:2]) <= 512
    _, differences = apart(reduced, mesh)
    assert np.median(differences) < 0.01
    assert (differences > 0.2).mean() < 0.04  # at the edges between two colours


def test_a_texture_is_baked_where_it_was():
    cylinder = load_pack("primitives").mesh("cylinder")
    reduced = reduce_faces(cylinder, 60, 512, 45)
    assert len(reduced.faces) < len(cylinder.faces)
    _, differences = apart(reduced, cylinder)
    assert np.mean(differences) < 0.06
    other = apart(as_mesh(can(0.045, 0.12)), cylinder)[1]
    assert np.mean(other) > 0.2  # as large as they are where nothing is baked


def test_what_has_few_faces_stays_as_it_is():
    mesh = load_pack("crockery").mesh("mug")
    assert reduce_faces(mesh, len(mesh.faces), 64, 45) is mesh


def test_a_reduced_texture_keeps_its_mean_and_its_proportions():
    texture = np.random.default_rng(0).random((64, 128, 3)).astype(np.float32)
    small = reduce_texture(texture, 32)
    assert small.shape == (16, 32, 3)
    np.testing.assert_allclose(small.mean(axis=(0, 1)), texture.mean(axis=(0, 1)), atol=1e-4)
    assert reduce_texture(texture, 128) is texture


def sorted_corners(mesh: Mesh):
    uv = np.zeros((len(mesh.vertices), 2)) if mesh.uv is None else mesh.uv
    rows = np.concatenate([mesh.vertices, mesh.colours, uv], axis=1)[mesh.faces].reshape(-1, 8)
    return rows[np.lexsort(rows.round(6).T)]


@pytest.mark.parametrize(
    ("pack", "asset"), [("crockery", "mug"), ("crockery", "plate"), ("primitives", "cylinder")]
)
def test_a_glb_file_gives_the_mesh_back(tmp_path, pack, asset):
    mesh = load_pack(pack).mesh(asset)
    (tmp_path / "it.glb").write_bytes(glb_bytes(mesh, "it"))
    again, remarks = load_mesh(tmp_path, ObjectSpec(mesh="it.glb", unit="m", up_axis="y"))
    assert remarks == ()
    assert again.faces.shape == mesh.faces.shape
    np.testing.assert_allclose(sorted_corners(again), sorted_corners(mesh), atol=2e-6)
    if mesh.texture is None or again.texture is None:
        assert again.texture is mesh.texture
    else:
        np.testing.assert_allclose(again.texture, mesh.texture, atol=1e-6)


def test_a_glb_file_is_read_by_others_as_well(tmp_path):
    mesh = load_pack("crockery").mesh("bowl")
    (tmp_path / "it.glb").write_bytes(glb_bytes(mesh, "it"))
    loaded = trimesh.load(tmp_path / "it.glb", force="mesh")
    assert loaded.extents == pytest.approx(np.ptp(mesh.vertices, axis=0)[[0, 2, 1]], abs=1e-6)
