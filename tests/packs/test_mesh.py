"""Laying meshes end to end loses nothing."""

import numpy as np
import pytest
import torch

from inverse_graphics.packs.mesh import Mesh, MeshLibrary


def mesh(vertices, faces, seed=0, texture=None):
    rng = np.random.default_rng(seed)
    return Mesh(
        vertices=rng.normal(size=(vertices, 3)).astype(np.float32),
        faces=rng.integers(0, max(vertices, 1), size=(faces, 3)),
        normals=rng.normal(size=(vertices, 3)).astype(np.float32),
        colours=rng.random((vertices, 3)).astype(np.float32),
        uv=None if texture is None else rng.random((vertices, 2)).astype(np.float32),
        texture=None if texture is None else rng.random((*texture, 3)).astype(np.float32),
    )


MESHES = [
    ("a/plain", mesh(5, 4, 1)),
    ("a/textured", mesh(7, 3, 2, texture=(2, 3))),
    ("a/empty", mesh(0, 0)),
    ("a/also", mesh(4, 2, 3, texture=(5, 1))),
]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1], [2], [1, 2, 1]])
def test_every_mesh_can_be_cut_out_again(order):
    meshes = [MESHES[index] for index in order]
    library = MeshLibrary.from_meshes(meshes)
    assert library.names == tuple(name for name, _ in meshes)
    for m, (_, expected) in enumerate(meshes):
        v0, v1 = library.first_vertex[m : m + 2].tolist()
        f0, f1 = library.first_face[m : m + 2].tolist()
        assert np.array_equal(library.vertices[v0:v1], expected.vertices)
        assert np.array_equal(library.normals[v0:v1], expected.normals)
        assert np.array_equal(library.colours[v0:v1], expected.colours)
        assert np.array_equal(library.faces[f0:f1] - v0, expected.faces)
        height, width = library.texture_size[m].tolist()
        t0 = int(library.first_texel[m])
        texels = library.texels[t0 : t0 + height * width].reshape(height, width, 3)
        if expected.texture is None:
            assert (height, width) == (0, 0)
            assert not library.uv[v0:v1].any()
        else:
            assert np.array_equal(texels, expected.texture)
            assert expected.uv is not None
            assert np.array_equal(library.uv[v0:v1], expected.uv)
        reach = np.linalg.norm(expected.vertices, axis=1).max(initial=0)
        assert library.radius[m].item() == pytest.approx(reach)


def test_a_library_of_nothing_has_the_right_shapes_and_types():
    library, full = MeshLibrary.from_meshes([]), MeshLibrary.from_meshes(MESHES)
    for name, value in vars(full).items():
        if isinstance(value, torch.Tensor):
            empty = getattr(library, name)
            assert empty.dtype == value.dtype, name
            assert empty.shape[1:] == value.shape[1:], name
    assert library.first_vertex.tolist() == library.first_face.tolist() == [0]


def test_moving_changes_the_type_of_real_numbers_only():
    moved = MeshLibrary.from_meshes(MESHES).to("cpu", torch.float64)
    assert moved.vertices.dtype == moved.texels.dtype == moved.radius.dtype == torch.float64
    assert moved.faces.dtype == moved.first_vertex.dtype == torch.int64
    assert moved.names == tuple(name for name, _ in MESHES)
