from dataclasses import replace

import numpy as np
import torch
import trimesh
from table_scenes import as_mesh, ball, bowl, cube, handled, random_scenes, ring, tile

from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.rendering.embedded.engine import EmbeddedEngine
from inverse_graphics.rendering.embedded.topology import MeshTopology


def edges_of(mesh):
    return MeshTopology.from_library(MeshLibrary.from_meshes([("mesh", mesh)])).edges.numpy()


def test_a_closed_smooth_mesh_has_three_edges_for_two_faces_and_no_crease():
    edges = edges_of(ball())
    assert len(edges) == len(ball().faces) * 3 / 2
    assert (edges[:, 3] >= 0).all()
    assert (edges[:, 4] == 0).all()


def test_corners_that_share_a_place_are_joined_and_creased():
    """The cube's faces have corners of their own: 12 creases, and 6 diagonals that are none."""
    edges = edges_of(cube())
    assert len(edges) == 18
    assert (edges[:, 3] >= 0).all()
    assert edges[:, 4].sum() == 12


def test_the_rim_of_an_open_mesh_is_a_boundary():
    edges = edges_of(bowl())
    rim = edges[edges[:, 3] < 0]
    assert len(rim) == 20
    assert (rim[:, 4] == 1).all()
    np.testing.assert_allclose(bowl().vertices[rim[:, :2]][..., 2], 0.06, atol=1e-6)
    assert len(edges_of(tile())) == 5


def test_meshes_keep_to_themselves_and_faces_without_area_are_left_out():
    shape = trimesh.creation.box((1, 1, 1))
    shape.faces = np.concatenate([shape.faces, [[0, 0, 1], [2, 2, 2]]])
    library = MeshLibrary.from_meshes([("ball", ball()), ("box", as_mesh(shape)), ("ball", ball())])
    topology = MeshTopology.from_library(library)
    assert topology.first_edge.tolist() == [0, 480, 498, 978]
    assert (~topology.solid).sum() == 2
    for m in range(3):
        edges = topology.edges[topology.first_edge[m] : topology.first_edge[m + 1]]
        assert (edges[:, :2] >= library.first_vertex[m]).all()
        assert (edges[:, :2] < library.first_vertex[m + 1]).all()
        assert (edges[:, 2:4] >= library.first_face[m]).all()
        assert (edges[:, 2:4] < library.first_face[m + 1]).all()


def test_only_meshes_without_holes_that_look_outwards_are_closed():
    inside_out = as_mesh(trimesh.creation.box((1, 1, 1)))
    inside_out = replace(inside_out, faces=inside_out.faces[:, ::-1].copy())
    two = trimesh.util.concatenate([trimesh.creation.box((1, 1, 1)), trimesh.creation.icosphere(1, 0.2)])
    shapes = {
        "cube": cube(), "ball": ball(), "two": as_mesh(two), "handled": handled(),
        "bowl": bowl(), "tile": tile(), "inside out": inside_out,
    }  # fmt: skip
    library = MeshLibrary.from_meshes(list(shapes.items()))
    assert MeshTopology.from_library(library).closed.tolist() == [True] * 4 + [False] * 3


def test_leaving_out_the_backs_of_closed_meshes_changes_nothing_that_is_seen():
    meshes = MeshLibrary.from_meshes([("ring", ring()), ("handled", handled()), ("cube", cube())])
    engine, thorough = EmbeddedEngine(meshes), EmbeddedEngine(meshes)
    topology = thorough._original.topology
    open_ones = replace(topology, closed=torch.zeros_like(topology.closed))
    thorough._original = replace(thorough._original, topology=open_ones)
    for distance in (0.5, 0.15):
        scenes = random_scenes(meshes, 8, 2, 40, seed=6, distance=distance)
        first = engine.layers(scenes.objects, scenes.camera, scenes.light)
        second = thorough.layers(scenes.objects, scenes.camera, scenes.light)
        for mine, reference in zip(first, second, strict=True):
            torch.testing.assert_close(mine, reference)
