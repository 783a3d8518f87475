"""Objects rest where they would, as often as solid angles say."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from solid_meshes import as_mesh, box, can, rotated, tetrahedron

from inverse_graphics.packs.pack import SymmetrySpec, symmetry_of
from inverse_graphics.packs.resting_poses import resting_poses, standing_axis, upright_probability
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.packs.symmetry_detection import detect_symmetry

NONE = Symmetry.none()


def poses_of(solid, most=8):
    mesh = as_mesh(solid)
    return resting_poses(mesh, symmetry_of(detect_symmetry(mesh).about_centre), most)


def ups(poses):
    return np.array([Rotation.from_quat(pose.quaternion_xyzw).as_matrix()[2] for pose in poses])


def seen_from_the_middle(a, b, distance):
    """The solid angle of a rectangle, as a share of all directions."""
    return np.arcsin(a * b / np.sqrt((a**2 + distance**2) * (b**2 + distance**2))) / np.pi


def test_a_box_rests_on_each_side_as_often_as_its_solid_angle():
    x, y, z = 0.1, 0.09, 0.08  # it stays on whatever side it lands
    poses = poses_of(box(x, y, z))
    shares = [2 * seen_from_the_middle(a, b, c) for a, b, c in ((x, y, z), (x, z, y), (y, z, x))]
    assert [pose.probability for pose in poses] == pytest.approx(shares, abs=1e-3)
    assert np.abs(ups(poses)) == pytest.approx(np.eye(3)[[2, 1, 0]], abs=1e-5)
    assert poses[0].quaternion_xyzw == (0, 0, 0, 1)


def test_without_symmetry_each_side_is_a_pose():
    assert len(resting_poses(as_mesh(box(0.1, 0.1, 0.1)), NONE)) == 6
    assert len(poses_of(box(0.1, 0.1, 0.1))) == 1
    assert len(resting_poses(as_mesh(tetrahedron()), NONE)) == 4
    assert len(poses_of(tetrahedron())) == 1


def test_a_can_stands_or_lies_and_what_lies_is_one_pose():
    poses = poses_of(can())
    assert len(poses) == 2
    assert upright_probability(poses) == pytest.approx(min(pose.probability for pose in poses))
    lying = max(poses, key=lambda pose: pose.probability)
    assert abs(ups([lying])[0, 2]) < 0.05


def test_a_ball_has_one_pose():
    assert len(poses_of(trimesh.creation.icosphere(3, 0.05))) == 1


@pytest.mark.parametrize("most", [1, 3, 8])
def test_the_number_of_poses_is_bounded_and_no_probability_is_lost(most):
    striped = resting_poses(as_mesh(can()), NONE, most)  # 64 poses on its side
    assert len(striped) <= most
    assert sum(pose.probability for pose in striped) == pytest.approx(1, abs=1e-6)
    probabilities = [pose.probability for pose in striped]
    assert probabilities == sorted(probabilities, reverse=True)


def test_an_object_in_its_pose_does_not_topple():
    """Its centre of mass is above the hull of the points that touch the table."""
    solid = rotated(trimesh.util.concatenate([box(), box(0.02, 0.02, 0.06)]))
    for up, pose in zip(ups(poses_of(solid)), poses_of(solid), strict=True):
        points = Rotation.from_quat(pose.quaternion_xyzw).apply(solid.vertices)
        np.testing.assert_allclose(points[:, 2], solid.vertices @ up, atol=1e-6)
        touching = points[points[:, 2] < points[:, 2].min() + 1e-4]
        assert len(touching) >= 3


def test_what_leans_a_little_is_upright():
    leaning = rotated(can(), Rotation.from_euler("x", 2, degrees=True))
    assert any(pose.quaternion_xyzw == (0, 0, 0, 1) for pose in poses_of(leaning))
    fallen = rotated(can(), Rotation.from_euler("x", 30, degrees=True))
    assert upright_probability(poses_of(fallen)) == 0


def test_the_axis_that_would_stand_is_found():
    cone = trimesh.creation.cone(0.03, 0.05)  # stands on one side only
    to_y = Rotation.from_euler("x", -90, degrees=True)
    poses = poses_of(rotated(cone, to_y))
    assert ups(poses)[:, 1].max() > 0.99
    assert standing_axis(poses, "z") == "y"
    upside_down = poses_of(rotated(cone, Rotation.from_euler("x", 90, degrees=True)))
    assert standing_axis(upside_down, "y") == "z"
    assert standing_axis(upside_down, "z") is None
    assert symmetry_of(SymmetrySpec()).axis is None
