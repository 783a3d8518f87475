"""The orientations in which an object comes to rest on a table, and how often (Goldberg et al. 1999).

Reference: K. Goldberg, B. Mirtich, Y. Zhuang, J. Craig, B. Carlisle and J. Canny, "Part pose statistics:
estimators and experiments", IEEE Transactions on Robotics and Automation 15(5), 1999.
"""

from __future__ import annotations

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import QhullError
from scipy.spatial.transform import Rotation

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.origin import surface_centroid
from inverse_graphics.packs.pack import MAX_POSES, RestingPose, UpAxis
from inverse_graphics.packs.symmetry import Symmetry

Floats = NDArray[np.float64]

UPRIGHT = RestingPose(quaternion_xyzw=(0.0, 0.0, 0.0, 1.0), probability=1.0)
UPRIGHT_DEGREES = 4.0
"""A pose that leans less is upright: scans do not stand straight."""
APART_DEGREES = 12.0
"""Poses that differ by less are one."""
RARE = 0.02
"""Poses that are less probable are left out."""


def resting_poses(mesh: Mesh, symmetry: Symmetry, most: int = 8) -> tuple[RestingPose, ...]:
    """Find the poses in which an object rests when it is dropped.

    The object is as dense everywhere as its walls: solid if its surface is closed, else a thin shell.

    Args:
        mesh: The object, metres, Z up.
        symmetry: Of the object about its centre: poses that look alike are one, of their joint probability.
        most: Number of poses, 1 to 32; where there would be more, neighbouring ones are joined.

    Returns:
        The poses, the most probable first, and the sum of their probabilities is 1. Upright is exactly the
        identity where the object stands as it is.
    """
    assert 1 <= most <= MAX_POSES
    if symmetry.spherical:
        return (UPRIGHT,)
    ups, probabilities = _stable_directions(mesh)
    near = APART_DEGREES
    while True:
        chosen, share = _joined(ups, probabilities, symmetry, near)
        common = share >= RARE
        if common.sum() <= most:
            break
        near *= 1.5
    share = share[common] / share[common].sum()
    rounded = np.round(share, 4)
    rounded[0] += 1 - rounded.sum()
    return tuple(
        RestingPose(quaternion_xyzw=_quaternion(up), probability=round(float(value), 4))
        for up, value in zip(chosen[common], rounded, strict=True)
    )


def upright_probability(poses: tuple[RestingPose, ...]) -> float:
    """The probability of those poses that lean by less than 4 degrees."""
    cosine = np.cos(np.radians(UPRIGHT_DEGREES))
    ups = [Rotation.from_quat(pose.quaternion_xyzw).as_matrix()[2, 2] for pose in poses]
    return sum(pose.probability for pose, up in zip(poses, ups, strict=True) if up >= cosine)


_OTHER_AXES: dict[UpAxis, dict[UpAxis, tuple[int, int, int]]] = {
    "x": {"y": (1, 0, 0), "z": (0, 1, 0)},
    "y": {"x": (1, 0, 0), "z": (0, -1, 0)},
    "z": {"x": (1, 0, 0), "y": (0, 1, 0)},
}
"""By the axis of a file that points up: where its other axes point in the object's frame."""


def standing_axis(poses: tuple[RestingPose, ...], up_axis: UpAxis) -> UpAxis | None:
    """Which other axis of a file would be vertical, and point up, in one of an object's poses, if any.

    Args:
        poses: Those of the object, the most probable first.
        up_axis: The axis of the file that points up in the object's frame.
    """
    for pose in poses:
        up = Rotation.from_quat(pose.quaternion_xyzw).as_matrix()[2]
        for axis, direction in _OTHER_AXES[up_axis].items():
            if up @ direction >= np.cos(np.radians(UPRIGHT_DEGREES)):
                return axis
    return None


def _stable_directions(mesh: Mesh) -> tuple[Floats, Floats]:
    """Which way is up (N, 3), in the object's frame, in each pose, and its probability (N,)."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    solid.merge_vertices(merge_tex=True, merge_norm=True)
    centre = surface_centroid(mesh.vertices[mesh.faces].astype(np.float64))
    if solid.is_watertight and solid.is_winding_consistent and solid.volume > 0:
        centre = np.asarray(solid.center_mass)
    try:
        with np.errstate(all="ignore"):
            hull = solid.convex_hull
            poses, shares = trimesh.poses.compute_stable_poses(hull, center_mass=centre)
    except (ValueError, IndexError, QhullError):  # flat, or no pose at all
        return np.array([[0.0, 0.0, 1.0]]), np.ones(1)
    shares = np.nan_to_num(np.asarray(shares))
    return np.asarray(poses)[:, 2, :3], shares / shares.sum()


def _joined(
    ups: Floats, probabilities: Floats, symmetry: Symmetry, near_degrees: float
) -> tuple[Floats, Floats]:
    """Directions of which none is near another modulo symmetry, the most probable first, and their shares."""
    chosen: list[Floats] = []
    share: list[float] = []
    for index in (-probabilities).argsort(kind="stable"):
        up = ups[index] if ups[index][2] < np.cos(np.radians(UPRIGHT_DEGREES)) else np.array([0.0, 0.0, 1.0])
        apart = [apart_degrees(up, other, symmetry) for other in chosen]
        if apart and min(apart) < near_degrees:
            share[int(np.argmin(apart))] += float(probabilities[index])
            if up[2] == 1:
                chosen[int(np.argmin(apart))] = up
        else:
            chosen.append(up)
            share.append(float(probabilities[index]))
    order = np.argsort(-np.array(share), kind="stable")
    return np.array(chosen)[order], np.array(share)[order]


def apart_degrees(first: Floats, second: Floats, symmetry: Symmetry) -> float:
    """Compute the least angle between two directions in an object's frame, modulo its symmetry.

    Args:
        first: (3,), unit length.
        second: (3,), unit length.
        symmetry: Of the object.
    """
    if symmetry.spherical:
        return 0.0
    images = symmetry.discrete.numpy() @ second
    if symmetry.axis is None:
        return float(np.degrees(np.arccos(np.clip(images @ first, -1, 1))).min())
    axis = symmetry.axis.numpy()
    leans = np.arccos(np.clip([first @ axis, *(images @ axis)], -1, 1))
    return float(np.degrees(np.abs(leans[1:] - leans[0])).min())


def _quaternion(up: Floats) -> tuple[float, float, float, float]:
    """The smallest rotation that brings a direction to +Z."""
    if up[2] < -1 + 1e-9:
        return 1.0, 0.0, 0.0, 0.0
    vector = np.array([up[1], -up[0], 0.0, 1 + up[2]])
    x, y, z, w = (round(float(value), 6) + 0.0 for value in vector / np.linalg.norm(vector))
    return x, y, z, w
