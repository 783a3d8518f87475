"""Camera poses and intrinsics: OpenCV axes (x right, y down, z forward), NumPy float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]


def look_at_pose(eye: ArrayLike, target: ArrayLike) -> Matrix:
    """Compute the pose of a camera at `eye` that looks at `target`, with the world's Z upwards in the image.

    Args:
        eye: (3,), metres, world frame.
        target: (3,), metres, world frame, not equal to `eye`.

    Returns:
        T_world_camera, (4, 4). For a view straight down (or up) the world's X points right in the image.
    """
    eye, forward = np.asarray(eye, np.float64), np.subtract(target, eye, dtype=np.float64)
    forward /= np.linalg.norm(forward)
    right = np.array([forward[1], -forward[0], 0.0])  # forward × Z
    length = np.linalg.norm(right)
    # along Z the roll is undefined, and near Z it would depend on rounding
    right = right / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
    return _pose(eye, right, forward)


def orbit_pose(azimuth: float, elevation: float, distance: float, target: ArrayLike) -> Matrix:
    """Compute the pose of a camera on a sphere about `target` that looks at `target`.

    Args:
        azimuth: radians, of the camera seen from the target, from X towards Y.
        elevation: radians above the horizontal, in [−π/2, π/2].
        distance: metres.
        target: (3,), metres, world frame.

    Returns:
        T_world_camera, (4, 4).
    """
    outward = np.array(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    return _pose(np.asarray(target, np.float64) + distance * outward, right, -outward)


def pinhole_intrinsics(field_of_view: float, width_px: int, height_px: int) -> Matrix:
    """Build K, (3, 3), pixels: square pixels, centred.

    Args:
        field_of_view: radians, over the image's height.
    """
    focal = height_px / 2 / np.tan(field_of_view / 2)
    return np.array([[focal, 0.0, width_px / 2], [0.0, focal, height_px / 2], [0.0, 0.0, 1.0]])


def resized_intrinsics(K: Matrix, old_size: tuple[int, int], new_size: tuple[int, int]) -> Matrix:
    """Compute K of the same view at another image size.

    Args:
        K: (3, 3), pixels.
        old_size: (width, height), pixels.
        new_size: (width, height), pixels.

    Returns:
        (3, 3). Pixel centres are at half-integers, so image edges map to image edges and the rows of K scale
        without an offset.
    """
    scale = np.array([new_size[0] / old_size[0], new_size[1] / old_size[1], 1.0])
    return np.asarray(K, np.float64) * scale[:, None]


def _pose(eye: Matrix, right: Matrix, forward: Matrix) -> Matrix:
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose
