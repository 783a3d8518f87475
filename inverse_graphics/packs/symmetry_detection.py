"""Rotations that leave an object's shape and colours unchanged, found on samples of its surface.

Candidates are tested: a rotation about the surface's centroid holds if nearly all samples that it moves come
to lie on the surface, where the colour is the same. The axes of candidates are X, Y, Z and the principal axes
of inertia: every axis of symmetry is one of these, unless two or three moments are equal. Then the axes
across the distinguished one, or all directions, are searched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.origin import surface_centroid
from inverse_graphics.packs.pack import DiscreteSymmetry, SymmetrySpec, symmetry_of
from inverse_graphics.packs.surface_samples import nearest, sample_surface

Floats = NDArray[np.float64]

SHAPE_TOLERANCE = 0.02
"""By how much a rotated surface may miss itself, as a share of its radius."""
COLOUR_TOLERANCE = 0.12
"""By how much colours may differ, image values, smoothed over about a fortieth of the size."""
UNLIKE_SHARE = 0.02
"""The share of the surface that may differ by more."""
MAX_FOLD = 36
SAMPLES, TESTED, PRETESTED = 16_000, 1500, 200
ALIKE_MOMENTS = 0.08
"""Principal moments that differ by less, as a share of the largest, may belong to a symmetric object."""
GENERIC_DEGREES = (7.3, 31.1, 52.7, 83.9, 101.3, 137.5, 161.9)
"""Angles that no symmetry of less than 37 folds has in common."""
_AXES = np.eye(3)[[2, 0, 1]]


@dataclass(frozen=True)
class DetectedSymmetry:
    """The rotations that leave an object unchanged.

    Attributes:
        symmetry: Those about its origin, which a manifest may state.
        about_centre: All of them, about the centroid of its surface.
    """

    symmetry: SymmetrySpec
    about_centre: SymmetrySpec


class SymmetryTest:
    """Tests whether rotations about the centroid leave an object's shape and colours unchanged.

    Args:
        mesh: The object.
        shape_tolerance: By how much the surface may miss itself, as a share of its radius.
        colour_tolerance: By how much colours may differ, image values.

    Attributes:
        centre: (3,), the centroid of the surface, metres.
        radius: Of the ball about the centroid that holds the object, metres.
        moments: (3, 3), second moments of the surface about the centroid, square metres.
    """

    def __init__(
        self,
        mesh: Mesh,
        shape_tolerance: float = SHAPE_TOLERANCE,
        colour_tolerance: float = COLOUR_TOLERANCE,
    ) -> None:
        corners = mesh.vertices[mesh.faces].astype(np.float64)
        self.centre = surface_centroid(corners)
        self.radius = float(np.linalg.norm(mesh.vertices - self.centre, axis=1).max())
        self.moments = _second_moments(corners - self.centre)
        self._shape_tolerance, self._colour_tolerance = shape_tolerance, colour_tolerance
        samples = sample_surface(mesh, SAMPLES)
        self._positions = (samples.positions - self.centre) / self.radius
        self._normals = samples.normals
        self._tree = nearest(samples, self.radius)
        self._offset = self.centre / self.radius
        self._neighbours = np.asarray(self._tree.query(samples.features(self.radius), k=12)[1])
        self._colours = samples.colours[self._neighbours].mean(axis=1)
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        self._spacing = float(np.sqrt(area.sum() / 2 / SAMPLES)) / self.radius

    def misfit(self, rotation: Floats, count: int = TESTED) -> Floats:
        """How far each of `count` rotated samples misses the surface, as a share of the radius."""
        return self._misfit(rotation, count)[0]

    def unlike_share(self, rotation: Floats, count: int = TESTED) -> float:
        """The share of the surface that a rotation (3, 3) brings where shape or colour is another."""
        misfit, match = self._misfit(rotation, count)
        # the nearest of the colours around: edges between colours may miss themselves as the surface may
        around = self._colours[self._neighbours[match]]
        colour = np.abs(self._colours[:count, None] - around).max(axis=2).min(axis=1)
        return float(((misfit > self._shape_tolerance) | (colour > self._colour_tolerance)).mean())

    def holds(self, rotation: Floats) -> bool:
        """Whether a rotation (3, 3) about the centroid leaves the object unchanged."""
        if self.unlike_share(rotation, PRETESTED) > 5 * UNLIKE_SHARE:
            return False
        return self.unlike_share(rotation) <= UNLIKE_SHARE

    def _misfit(self, rotation: Floats, count: int) -> tuple[Floats, NDArray[np.int64]]:
        moved = self._positions[:count] @ rotation.T
        features = np.concatenate([moved + self._offset, 0.1 * self._normals[:count] @ rotation.T], axis=1)
        match = np.asarray(self._tree.query(features)[1])
        gap = moved - self._positions[match]
        beside = np.linalg.norm(gap, axis=1) - 3 * self._spacing
        off = np.abs((gap * self._normals[match]).sum(axis=1))
        return np.maximum(off, beside), match


def detect_symmetry(
    mesh: Mesh, shape_tolerance: float = SHAPE_TOLERANCE, colour_tolerance: float = COLOUR_TOLERANCE
) -> DetectedSymmetry:
    """Find the rotations that leave an object's shape and colours unchanged.

    Args:
        mesh: The object, metres, Z up.
        shape_tolerance: By how much the rotated surface may miss itself, as a share of its radius.
        colour_tolerance: By how much colours may differ, image values.

    Returns:
        The symmetries about its origin and about its centroid.
    """
    test = SymmetryTest(mesh, shape_tolerance, colour_tolerance)
    found = _about_centre(test)
    return DetectedSymmetry(_about_origin(found, test, shape_tolerance), found)


def _about_centre(test: SymmetryTest) -> SymmetrySpec:
    moments, directions = np.linalg.eigh(test.moments)
    close = [abs(moments[i] - moments[i + 1]) <= ALIKE_MOMENTS * moments[2] for i in (0, 1)]
    if all(close) and _is_ball(test):
        return SymmetrySpec(continuous="any")
    axes = [*_AXES, *directions.T]
    round_axis = next((axis for axis in axes if _is_continuous(test, axis)), None)
    if round_axis is not None:
        across = np.cross(round_axis, np.eye(3)[np.abs(round_axis).argmin()])
        flipped = test.holds(_rotation(across / np.linalg.norm(across), np.pi))
        flips = (DiscreteSymmetry(axis=_named(across), fold=2),) if flipped else ()
        return SymmetrySpec(continuous=_named(round_axis), discrete=flips)
    folds = _folds(test, axes)
    if all(close) and max((fold for _, fold in folds), default=1) < 3:
        folds = _folds(test, [*axes, *_searched_axes(test)])
    if not folds:
        return SymmetrySpec()
    many = [(axis, fold) for axis, fold in folds if fold >= 3]
    if len(many) > 1:
        return _polyhedral(many)
    axis, fold = max(folds, key=lambda one: one[1])
    generators = [(axis, fold), *_flip(test, axis, fold, [other for other, _ in folds])]
    return SymmetrySpec(discrete=tuple(DiscreteSymmetry(axis=_named(a), fold=n) for a, n in generators))


def _is_ball(test: SymmetryTest) -> bool:
    rotations = Rotation.random(8, rng=np.random.default_rng(0)).as_matrix()
    return all(test.holds(rotation) for rotation in rotations)


def _is_continuous(test: SymmetryTest, axis: Floats) -> bool:
    return all(test.holds(_rotation(axis, np.radians(angle))) for angle in GENERIC_DEGREES)


def _folds(test: SymmetryTest, axes: Iterable[Floats]) -> list[tuple[Floats, int]]:
    """The axes about which there is a symmetry, none nearly parallel to another, each with its fold."""
    found: list[tuple[Floats, int]] = []
    for axis in axes:
        if not any(abs(axis @ other) > np.cos(np.radians(5)) for other, _ in found):
            fold = _fold(test, axis)
            found += [(axis, fold)] if fold > 1 else []
    return found


def _fold(test: SymmetryTest, axis: Floats) -> int:
    """The largest n for which the n-th part of a full rotation is a symmetry."""
    fold = 1
    for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31):
        while fold * prime <= MAX_FOLD and test.holds(_rotation(axis, 2 * np.pi / (fold * prime))):
            fold *= prime
    return fold


def _flip(test: SymmetryTest, axis: Floats, fold: int, others: list[Floats]) -> list[tuple[Floats, int]]:
    """A two-fold axis at a right angle to another axis, if there is one."""
    known = [other for other in others if abs(axis @ other) < np.sin(np.radians(5))]
    first = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)

    def direction(angle: float) -> Floats:
        result: Floats = np.cos(angle) * first + np.sin(angle) * second
        return result

    def mean_misfit(angle: float) -> float:
        return float(test.misfit(_rotation(direction(angle), np.pi), PRETESTED).mean())

    for other in known:
        across = other - (other @ axis) * axis
        return [(across / np.linalg.norm(across), 2)]
    angles = np.arange(0, np.pi / fold, np.radians(2))
    best = sorted(angles, key=mean_misfit)[:3]
    for start in best:
        near = np.linspace(start - np.radians(2), start + np.radians(2), 17)
        across = direction(min(near, key=mean_misfit))
        if test.holds(_rotation(across, np.pi)):
            return [(across, 2)]
    return []


def _searched_axes(test: SymmetryTest) -> list[Floats]:
    """Directions in which an axis of 3, 4 or 5 folds may lie, whatever the orientation, the best first."""
    index = np.arange(600)
    height = 1 - (index + 0.5) / len(index)  # a spiral over half a sphere
    around = index * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - height**2)
    grid = np.stack([flat * np.cos(around), flat * np.sin(around), height], axis=1)
    found: list[tuple[float, Floats]] = []
    for fold in (5, 4, 3):
        angle = 2 * np.pi / fold

        def mean_misfit(axis: Floats, angle: float = angle) -> float:
            unit = axis / np.linalg.norm(axis)
            return float(test.misfit(_rotation(unit, angle), PRETESTED // 2).mean())

        misfits = np.array([mean_misfit(axis) for axis in grid])
        for start in misfits.argsort()[:6]:
            best = minimize(mean_misfit, grid[start], method="Nelder-Mead", options={"maxiter": 40})
            found.append((float(best.fun), best.x / np.linalg.norm(best.x)))
        if any(test.holds(_rotation(axis, angle)) for _, axis in found):
            break
    return [axis for _, axis in sorted(found, key=lambda one: one[0])]


def _polyhedral(axes: list[tuple[Floats, int]]) -> SymmetrySpec:
    """The group of a tetrahedron, cube or icosahedron, from two of its axes of most folds, made exact."""
    most = max(fold for _, fold in axes)
    apart = {3: np.arccos(1 / 3), 4: np.pi / 2, 5: np.arctan(2)}.get(most, np.pi / 2)
    chosen = [axis for axis, fold in axes if fold == most]
    if len(chosen) == 1:  # a cube of which one axis was found with all its folds
        return SymmetrySpec(discrete=(DiscreteSymmetry(axis=_named(chosen[0]), fold=most),))
    pairs = [(a, b * np.sign(a @ b or 1)) for i, a in enumerate(chosen) for b in chosen[i + 1 :]]
    a, b = min(pairs, key=lambda pair: abs(np.arccos(np.clip(pair[0] @ pair[1], -1, 1)) - apart))
    across = b - (a @ b) * a
    exact = np.cos(apart) * a + np.sin(apart) * across / np.linalg.norm(across)
    return SymmetrySpec(
        discrete=(
            DiscreteSymmetry(axis=_named(a), fold=most),
            DiscreteSymmetry(axis=_named(exact), fold=most),
        )
    )


def _about_origin(found: SymmetrySpec, test: SymmetryTest, tolerance: float) -> SymmetrySpec:
    """The symmetries about the centroid that are also some about the origin: they leave the line between."""
    near = tolerance * test.radius
    distance = float(np.linalg.norm(test.centre))
    if distance <= near or found == SymmetrySpec():
        return found
    line = test.centre / distance
    if found.continuous == "any":
        return SymmetrySpec(continuous=_named(line))
    group = symmetry_of(found)
    if group.axis is not None:
        axis = group.axis.numpy()
        beside = np.linalg.norm(test.centre - (test.centre @ axis) * axis)
        if beside <= near:
            return SymmetrySpec(continuous=found.continuous)
    rotations = group.discrete.numpy()
    kept = rotations[np.linalg.norm(rotations @ test.centre - test.centre, axis=1) <= near]
    if len(kept) == 1:
        return SymmetrySpec()
    vectors = Rotation.from_matrix(kept[1:]).as_rotvec()
    smallest = vectors[np.linalg.norm(vectors, axis=1).argmin()]
    axis = smallest / np.linalg.norm(smallest)
    return SymmetrySpec(discrete=(DiscreteSymmetry(axis=_named(axis), fold=len(kept)),))


def _rotation(axis: Floats, angle: float) -> Floats:
    """(3, 3), about a unit vector."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: Floats = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation


def _named(axis: Floats) -> str | tuple[float, float, float]:
    """A letter for a coordinate axis, or else a unit vector of which the largest component is positive."""
    unit = axis / np.linalg.norm(axis)
    largest = int(np.abs(unit).argmax())
    if abs(unit[largest]) > 1 - 1e-6:
        return "xyz"[largest]
    x, y, z = (round(float(value), 9) for value in unit * np.sign(unit[largest]))
    return x, y, z


def _second_moments(corners: Floats) -> Floats:
    """Integral of x xᵀ over triangles (F, 3, 3), by their area."""
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(crossed, axis=1) / 2
    total = corners.sum(axis=1)
    products = np.einsum("fci,fcj->fij", corners, corners) + np.einsum("fi,fj->fij", total, total)
    moments: Floats = np.einsum("f,fij->ij", areas / areas.sum(), products) / 12
    return moments
