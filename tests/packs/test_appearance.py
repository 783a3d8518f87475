"""What can be seen of an object: what counts as a change, and what does not."""

import numpy as np
import pytest
import torch
import trimesh

from inverse_graphics.packs.appearance import Appearance, appearance_hash
from inverse_graphics.packs.mesh import Mesh, MeshLibrary
from inverse_graphics.packs.pack import load_library, load_pack
from inverse_graphics.packs.symmetry import Symmetry, generated_group


def box(sides=(0.1, 0.06, 0.08), colour=(0.2, 0.4, 0.6), texture=None):
    shape = trimesh.creation.box(sides)
    corners = np.asarray(shape.vertices, np.float32)
    return Mesh(
        corners,
        np.asarray(shape.faces, np.int64),
        np.asarray(shape.vertex_normals, np.float32),
        np.broadcast_to(np.float32(colour), corners.shape),
        None if texture is None else corners[:, :2],
        texture,
    )


def seen(mesh, symmetry=None):
    return Appearance.of(mesh, symmetry or Symmetry.none())


def test_figures_of_a_box_are_those_of_geometry():
    measured = seen(box((2.0, 4.0, 6.0)))
    assert measured.high_m == pytest.approx((1, 2, 3))
    assert measured.area_m2 == pytest.approx(88)
    assert measured.centroid_m == pytest.approx((0, 0, 0), abs=1e-7)
    # two faces at x = ±1 of 24 m², four of 64 m² with x uniform over [−1, 1]
    assert measured.spread_m[0] ** 2 == pytest.approx((48 * 1 + 40 / 3) / 88)
    assert list(measured.colour) == pytest.approx([0.2, 0.4, 0.6])
    assert max(measured.colour_spread) < 1e-6


def test_spread_is_the_standard_deviation_of_points_on_the_surface():
    shape = trimesh.creation.cone(0.04, 0.1)
    colours = np.random.default_rng(0).random((len(shape.vertices), 3)).astype(np.float32)
    mesh = Mesh(
        np.asarray(shape.vertices, np.float32),
        shape.faces.astype(np.int64),
        np.zeros((0, 3), np.float32),
        colours,
    )
    points, face = trimesh.sample.sample_surface(shape, 200_000, seed=1)
    measured = seen(mesh)
    np.testing.assert_allclose(measured.centroid_m, points.mean(0), atol=2e-4)
    np.testing.assert_allclose(measured.spread_m, points.std(0), atol=2e-4)
    shares = trimesh.triangles.points_to_barycentric(shape.triangles[face], points)
    sampled = (colours[shape.faces[face]] * shares[..., None]).sum(1)
    np.testing.assert_allclose(measured.colour_spread, sampled.std(0), atol=2e-3)


def test_order_subdivision_and_rounding_change_nothing():
    before = seen(box())
    mesh = box()
    shuffled = Mesh(mesh.vertices, mesh.faces[::-1, [1, 2, 0]], mesh.normals, mesh.colours)
    finer = trimesh.Trimesh(mesh.vertices, mesh.faces).subdivide()
    subdivided = Mesh(
        np.asarray(finer.vertices, np.float32),
        finer.faces.astype(np.int64),
        np.asarray(finer.vertex_normals, np.float32),
        np.broadcast_to(mesh.colours[0], finer.vertices.shape),
    )
    rounded = [box(colour=(0.2001, 0.4, 0.6)), box((0.1 + 1e-6, 0.06, 0.08))]
    for same in (shuffled, subdivided, *rounded):
        assert seen(same).differences(before) == []


TEXTURE = np.linspace(0, 1, 16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3)
BALL = Symmetry(torch.eye(3, dtype=torch.float64)[None], spherical=True)
QUARTER = Symmetry(generated_group([torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).double()]))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            seen(box((0.11, 0.06, 0.08))),
            "bounding box 11.0 × 6.0 × 8.0 cm from z = -4.0 cm, before 10.0",
        ),
        (seen(box(colour=(0.2, 0.4, 0.7))), "colour 0.20, 0.40, 0.70, before 0.20, 0.40, 0.60"),
        (seen(box(texture=TEXTURE)), "a texture, before none"),
        (seen(box(), QUARTER), "symmetry 4 rotations, before none"),
        (
            seen(box(), BALL),
            "symmetry any, before none",
        ),
    ],
)
def test_a_change_is_told(changed, told):
    (only,) = changed.differences(seen(box()))
    assert only.startswith(told)


def test_another_shape_in_the_same_box_and_another_texture_are_noticed():
    inner = box()
    dented = inner.vertices.copy()
    dented[0] *= [0.9, 0.9, 1]
    shape = Mesh(dented, inner.faces, inner.normals, inner.colours)
    assert seen(shape).differences(seen(box())) == ["another shape of the same size"]
    mirrored = seen(box(texture=np.ascontiguousarray(TEXTURE[:, ::-1])))
    assert mirrored.differences(seen(box(texture=TEXTURE))) == ["another texture"]


def test_the_hash_is_of_names_and_looks():
    one, other = seen(box()), seen(box((0.2, 0.06, 0.08)))
    hashes = {
        appearance_hash(objects)
        for objects in ({"a/b": one}, {"a/c": one}, {"a/b": other}, {"a/b": one, "a/c": one})
    }
    assert len(hashes) == 4
    assert appearance_hash({"x": one, "a": other}) == appearance_hash({"a": other, "x": one})


@pytest.mark.parametrize("pack", ["crockery", "primitives"])
def test_a_library_gives_its_meshes_back(pack):
    loaded = load_pack(pack)
    library = load_library(loaded.asset_names)
    for index, (name, mesh) in enumerate(loaded.meshes()):
        again = library.mesh(index)
        assert library.names[index] == name
        for field, value in vars(mesh).items():
            back = getattr(again, field)
            if field == "uv" and mesh.texture is None:
                continue
            assert (value is None and back is None) or np.array_equal(value, back), field
    textured = MeshLibrary.from_meshes([("a", box()), ("b", box(texture=TEXTURE)), ("c", box())])
    again = textured.mesh(1)
    assert again.texture is not None
    assert np.array_equal(again.texture, TEXTURE)
    assert textured.mesh(2).texture is None
