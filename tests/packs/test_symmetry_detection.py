"""Symmetries that are found are those that there are, of shape and colours, and no others."""

import numpy as np
import pytest
import torch
import trimesh
from solid_meshes import as_mesh, banded, box, can, moved, rotated, tetrahedron

from inverse_graphics.packs.pack import load_pack, shipped_packs, symmetry_of
from inverse_graphics.packs.symmetry import symmetric_angle
from inverse_graphics.packs.symmetry_detection import SymmetryTest, detect_symmetry

SHIPPED = [(pack, asset) for pack in shipped_packs() for asset in load_pack(pack).asset_names]


def order(spec):
    """The number of rotations, and whether there is an axis or all rotations: (1, "") for none."""
    group = symmetry_of(spec)
    return len(group.discrete), "any" if group.spherical else "axis" if group.axis is not None else ""


def covers(group, other):
    """Whether a group holds all rotations of another one."""
    if group.spherical or other.spherical:
        return group.spherical
    if other.axis is not None and (group.axis is None or abs(group.axis @ other.axis) < 0.999):
        return False
    return bool((symmetric_angle(torch.eye(3).double(), other.discrete, group) < 0.02).all())


@pytest.mark.parametrize(("pack", "asset"), SHIPPED)
def test_shipped_objects_have_the_symmetries_that_their_packs_state(pack, asset):
    loaded = load_pack(pack)
    stated, found = loaded.symmetry(asset), symmetry_of(detect_symmetry(loaded.mesh(asset)).symmetry)
    assert covers(stated, found)
    assert covers(found, stated)


@pytest.mark.parametrize("place", [lambda solid: solid, rotated], ids=["along the axes", "anyhow"])
@pytest.mark.parametrize(
    ("solid", "expected"),
    [
        (box(), (4, "")),
        (box(0.1, 0.1, 0.03), (8, "")),
        (box(0.1, 0.1, 0.1), (24, "")),
        (can(), (2, "axis")),
        (can(sections=6), (12, "")),
        (can(sections=3, height=0.02), (6, "")),
        (trimesh.creation.cone(0.03, 0.1), (1, "axis")),
        (trimesh.creation.icosphere(3, 0.05), (1, "any")),
        (tetrahedron(), (12, "")),
        (trimesh.creation.icosahedron().apply_scale(0.05), (60, "")),
        (trimesh.util.concatenate([box(), moved(box(0.02, 0.03, 0.06), (0.02, 0.01, 0))]), (1, "")),
    ],
    ids=["box", "square box", "cube", "can", "hexagon", "triangle", "cone", "ball", "tetra", "icosa", "step"],
)
def test_solids_have_the_symmetries_of_their_shape(place, solid, expected):
    assert order(detect_symmetry(as_mesh(place(solid))).about_centre) == expected


@pytest.mark.parametrize("bands", [2, 3, 5, 6])
def test_colours_leave_as_many_rotations_as_they_repeat(bands):
    solid = can(sections=60).subdivide().subdivide()
    found = detect_symmetry(as_mesh(solid, banded(solid, bands))).symmetry
    (only,) = found.discrete
    assert (only.axis, only.fold) == ("z", bands)


def test_a_label_of_another_colour_leaves_no_symmetry():
    solid = can().subdivide().subdivide()
    x, _, z = solid.triangles_center.T
    colours = np.where(((x > 0.02) & (abs(z - 0.06) < 0.02))[:, None], 0.9, 0.4) * np.ones(3)
    assert order(detect_symmetry(as_mesh(solid, colours)).about_centre) == (1, "")


def test_a_handle_leaves_no_symmetry():
    handle = moved(trimesh.creation.torus(0.02, 0.004), (0.035, 0, 0.05), rotation=None)
    assert order(detect_symmetry(as_mesh(trimesh.util.concatenate([can(), handle]))).symmetry) == (1, "")


def test_rotations_about_the_centre_are_not_all_rotations_about_an_origin_at_the_base():
    found = detect_symmetry(as_mesh(moved(box(), (-0.01, 0, 0))))
    assert order(found.about_centre) == (4, "")
    assert [(item.axis, item.fold) for item in found.symmetry.discrete] == [("z", 2)]
    ball = detect_symmetry(as_mesh(moved(trimesh.creation.icosphere(3, 0.05), (0, 0, 0.05))))
    assert (ball.about_centre.continuous, ball.symmetry.continuous) == ("any", "z")
    aside = detect_symmetry(as_mesh(moved(can(), (0.05, 0.02, 0))))
    assert order(aside.symmetry) == (1, "")


def test_noise_within_the_tolerance_is_no_difference_and_beyond_it_is():
    solid = trimesh.creation.icosphere(4, 0.05).apply_scale((1, 1, 0.6))
    generator = np.random.default_rng(0)
    for noise, expected in ((0.0002, (2, "axis")), (0.004, (1, ""))):
        rough = solid.copy()
        rough.vertices += generator.normal(0, noise, rough.vertices.shape)
        assert order(detect_symmetry(as_mesh(rough)).about_centre) == expected


def test_the_share_that_differs_is_that_of_the_surface():
    solid = box(0.1, 0.1, 0.1)
    colours = np.where(solid.face_normals[:, :1] > 0.5, 0.9, 0.3) * np.ones(3)  # one side of six
    half_turn = np.diag([-1.0, -1.0, 1.0])
    share = SymmetryTest(as_mesh(solid, colours)).unlike_share(half_turn)
    assert share == pytest.approx(2 / 6, abs=0.05)
