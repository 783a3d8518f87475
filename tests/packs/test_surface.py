"""Welding and smoothing: what they keep, and normals of shapes whose normals are known."""

import numpy as np
import pytest
import trimesh

from inverse_graphics.packs.surface import TriangleSoup, mesh_from_soup


def soup_of(mesh, colours=None, uv=None):
    corners = np.asarray(mesh.vertices)[mesh.faces]
    colours = np.full(corners.shape, 0.5) if colours is None else colours
    return TriangleSoup(corners, colours, uv)


def smooth(mesh, crease=45.0, **attributes):
    return mesh_from_soup(soup_of(mesh, **attributes), crease, None)


def shuffled(mesh, seed=0):
    order = np.random.default_rng(seed).permutation(len(mesh.faces))
    return trimesh.Trimesh(mesh.vertices, mesh.faces[order], process=False)


def test_a_box_keeps_its_edges():
    mesh = smooth(trimesh.creation.box())
    assert len(mesh.vertices) == 24
    assert sorted({tuple(normal) for normal in mesh.normals.tolist()}) == sorted(
        [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    )


def test_a_box_without_creases_is_smooth():
    mesh = smooth(trimesh.creation.box(), crease=91)
    assert len(mesh.vertices) == 8
    expected = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.normals, expected, atol=1e-6)  # weighted by angle, not by triangles


def test_a_sphere_is_smooth_all_over():
    sphere = trimesh.creation.icosphere(subdivisions=3)
    mesh = smooth(shuffled(sphere))
    assert len(mesh.vertices) == len(sphere.vertices)
    np.testing.assert_allclose((mesh.normals * mesh.vertices).sum(1), 1, atol=1e-3)


def test_a_cylinder_is_smooth_around_and_sharp_at_its_ends():
    mesh = smooth(shuffled(trimesh.creation.cylinder(radius=1, height=2, sections=32)))
    wall = np.abs(mesh.normals[:, 2]) < 0.5
    np.testing.assert_allclose(mesh.normals[wall, 2], 0, atol=1e-6)
    np.testing.assert_allclose((mesh.normals[wall, :2] * mesh.vertices[wall, :2]).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.abs(mesh.normals[~wall, 2]), 1, atol=1e-6)
    assert wall.sum() == 64
    assert (~wall).sum() == 66


def groups_by_walking(mesh, crease_degrees):
    """The slow reference: from each corner of each face, walk over smooth edges around its vertex."""
    faces, normals = np.asarray(mesh.faces), np.asarray(mesh.face_normals)
    group = {}
    for f, face in enumerate(faces):
        for v in face:
            reached, frontier = {f}, [f]
            while frontier:
                current = frontier.pop()
                for other in range(len(faces)):
                    shared = set(faces[current]) & set(faces[other])
                    is_smooth = normals[current] @ normals[other] >= np.cos(np.radians(crease_degrees))
                    if other not in reached and v in shared and len(shared) == 2 and is_smooth:
                        reached.add(other)
                        frontier.append(other)
            group[f, v] = frozenset(reached)
    return group


@pytest.mark.parametrize("crease", [10.0, 30.0, 60.0, 180.0])
def test_normals_equal_those_of_the_slow_reference(crease):
    rng = np.random.default_rng(1)
    ball = trimesh.creation.icosphere(subdivisions=1)
    bumpy = trimesh.Trimesh(
        ball.vertices * rng.uniform(0.6, 1.4, (len(ball.vertices), 1)), ball.faces, process=False
    )
    groups = groups_by_walking(bumpy, crease)
    mesh = smooth(bumpy, crease)
    for f, face in enumerate(np.asarray(bumpy.faces)):
        for corner, v in enumerate(face):
            total = np.zeros(3)
            for g in groups[f, v]:
                place = list(bumpy.faces[g]).index(v)
                total += bumpy.face_normals[g] * bumpy.face_angles[g, place]
            expected = total / np.linalg.norm(total)
            np.testing.assert_allclose(mesh.normals[mesh.faces[f, corner]], expected, atol=1e-5)


def test_the_triangles_stay_where_they_are_with_their_colours_and_coordinates():
    ball = trimesh.creation.icosphere(subdivisions=2)
    rng = np.random.default_rng(0)
    colours, uv = rng.random((len(ball.faces), 3, 3)), rng.random((len(ball.faces), 3, 2))
    mesh = smooth(ball, colours=colours, uv=uv)
    assert mesh.uv is not None
    np.testing.assert_allclose(mesh.vertices[mesh.faces], ball.vertices[ball.faces], atol=1e-6)
    np.testing.assert_allclose(mesh.colours[mesh.faces], colours, atol=1e-6)
    np.testing.assert_allclose(mesh.uv[mesh.faces], uv, atol=1e-6)


def test_a_change_of_colour_splits_vertices_but_not_the_shading():
    ball = trimesh.creation.icosphere(subdivisions=2)
    colours = np.where((ball.triangles_center[:, 2] > 0)[:, None, None], 1.0, 0.0) * np.ones((1, 3, 3))
    mesh = smooth(ball, colours=colours)
    assert len(mesh.vertices) > len(ball.vertices)
    np.testing.assert_allclose((mesh.normals * mesh.vertices).sum(1), 1, atol=2e-3)


def test_triangles_without_area_are_dropped():
    box = trimesh.creation.box()
    vertices = np.concatenate([box.vertices, [[0, 0, 9.0]]])
    point, needle = [8, 8, 8], [0, 1, 0]
    flat = np.concatenate([box.faces, [point, needle]])
    assert len(smooth(trimesh.Trimesh(vertices, flat, process=False)).faces) == 12
    line = TriangleSoup(np.zeros((4, 3, 3)) + np.arange(3)[:, None], np.ones((4, 3, 3)), None)
    empty = mesh_from_soup(line, 45, None)
    assert empty.faces.shape == (0, 3)
    assert empty.vertices.shape == (0, 3)


def test_opposite_sides_of_a_sheet_keep_their_own_normals():
    sheet = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 0], [0, 1, 0], [1, 0, 0]]], np.float64)
    mesh = mesh_from_soup(TriangleSoup(sheet, np.ones((2, 3, 3)), None), 180, None)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-6)


def test_a_vertex_of_very_many_faces_costs_no_more_than_its_faces():
    n = 60_000
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False)
    vertices = np.concatenate([[[0, 0, 1]], np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1)])
    around = np.arange(1, n + 1)
    faces = np.stack([np.zeros(n, np.int64), around, np.roll(around, -1)], -1)
    mesh = smooth(trimesh.Trimesh(vertices, faces, process=False))
    assert len(mesh.vertices) == n + 1
