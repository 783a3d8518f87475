"""What can be seen of an object, in a few numbers: whether two versions of it look the same."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat

from inverse_graphics.packs.mesh import Mesh
from inverse_graphics.packs.symmetry import Symmetry

if TYPE_CHECKING:
    from inverse_graphics.packs.pack import Pack

Three = tuple[FiniteFloat, FiniteFloat, FiniteFloat]

LENGTH_TOLERANCE, COLOUR_TOLERANCE, AREA_TOLERANCE = 1e-4, 1e-3, 1e-3
"""Differences that may come from rounding: as a share of the size; of full brightness; relative."""
TEXTURE_TOLERANCE = 5e-3
"""Of full brightness: decoders of JPEG differ."""
BLOCKS = 4
"""Along each side of a texture."""


class Appearance(BaseModel):
    """Geometry, colours and symmetry of an object, not its file, name or description.

    Attributes:
        low_m: Lower corner of its bounding box, metres.
        high_m: Upper corner of its bounding box, metres.
        area_m2: Area of its surface, square metres.
        centroid_m: Mean position of its surface, metres.
        spread_m: Standard deviation of positions on its surface along x, y and z, metres.
        colour: Mean albedo of its surface, image values in [0, 1], without its texture.
        colour_spread: Standard deviation of the same.
        texture: Mean colours of 4 × 4 blocks of its texture, row by row; empty without one.
        symmetry: The continuous axis, "any" or "", and the number of discrete rotations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low_m: Three
    high_m: Three
    area_m2: FiniteFloat
    centroid_m: Three
    spread_m: Three
    colour: Three
    colour_spread: Three
    texture: tuple[FiniteFloat, ...] = ()
    symmetry: str = ""

    @classmethod
    def of(cls, mesh: Mesh, symmetry: Symmetry) -> Appearance:
        """Measure an object."""
        corners = mesh.vertices[mesh.faces].astype(np.float64)
        crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        areas = np.linalg.norm(crossed, axis=1) / 2
        centroid, spread = _moments(corners, areas)
        colour, colour_spread = _moments(mesh.colours[mesh.faces].astype(np.float64), areas)
        return cls(
            low_m=_three(corners.min((0, 1))),
            high_m=_three(corners.max((0, 1))),
            area_m2=float(areas.sum()),
            centroid_m=centroid,
            spread_m=spread,
            colour=colour,
            colour_spread=colour_spread,
            texture=_texture(mesh),
            symmetry=_symmetry(symmetry),
        )

    def differences(self, other: Appearance) -> list[str]:
        """Compare with another version of the object.

        Args:
            other: As it was before.

        Returns:
            What differs by more than rounding, each with both values; empty if the two look the same.
        """
        size = max(math.dist(one.low_m, one.high_m) for one in (self, other))
        near = LENGTH_TOLERANCE * size
        found = []
        if not _close((self.low_m, self.high_m), (other.low_m, other.high_m), near):
            found.append(f"bounding box {_box(self)}, before {_box(other)}")
        elif not _close((self.centroid_m, self.spread_m), (other.centroid_m, other.spread_m), near) or (
            abs(self.area_m2 - other.area_m2) > AREA_TOLERANCE * max(self.area_m2, other.area_m2)
        ):
            found.append("another shape of the same size")
        colours = (self.colour, self.colour_spread), (other.colour, other.colour_spread)
        if not _close(*colours, COLOUR_TOLERANCE):
            found.append(f"colour {_numbers(self.colour)}, before {_numbers(other.colour)}")
        if bool(self.texture) != bool(other.texture):
            found.append("a texture, before none" if self.texture else "no texture, before one")
        elif self.texture and not _close(self.texture, other.texture, TEXTURE_TOLERANCE):
            found.append("another texture")
        if self.symmetry != other.symmetry:
            found.append(f"symmetry {self.symmetry or 'none'}, before {other.symmetry or 'none'}")
        return found


@runtime_checkable
class KnowsObjects(Protocol):
    """What depends on the objects of asset packs: a scene family, or a network that infers them."""

    @property
    def packs(self) -> Mapping[str, Pack]:
        """The asset packs that the objects come from, by name."""

    @property
    def appearances(self) -> Mapping[str, Appearance]:
        """The appearance of each object, by asset name."""

    @property
    def packs_hash(self) -> str:
        """A hash of the packs' files (SHA-256, hexadecimal), which identifies packs in older models."""


def appearance_hash(objects: Mapping[str, Appearance]) -> str:
    """Hash what can be seen of named objects (SHA-256, hexadecimal), to five digits of every number."""
    digest = hashlib.sha256()
    for name, appearance in sorted(objects.items()):
        fields = [f"{key}={_rounded(value)}" for key, value in appearance.model_dump().items()]
        digest.update("\0".join([name, *fields, ""]).encode())
    return digest.hexdigest()


def _moments(corners: NDArray[np.float64], areas: NDArray[np.float64]) -> tuple[Three, Three]:
    """Mean and standard deviation over a surface of what is linear on its faces.

    Args:
        corners: (F, 3, 3), values at the corners of faces.
        areas: (F,).
    """
    weights = areas / areas.sum()
    mean = weights @ corners.mean(1)
    apart = corners - mean
    # the integral of a square over a triangle: the sum of squares of the corners and of their sum, by 12
    square = weights @ ((apart**2).sum(1) + apart.sum(1) ** 2) / 12
    return _three(mean), _three(np.sqrt(square.clip(0)))


def _texture(mesh: Mesh) -> tuple[float, ...]:
    if mesh.texture is None:
        return ()
    height, width = mesh.texture.shape[:2]
    rows, columns = np.arange(height) * BLOCKS // height, np.arange(width) * BLOCKS // width
    block = (BLOCKS * rows[:, None] + columns).ravel()
    size = np.bincount(block, minlength=BLOCKS**2).clip(1)
    channels = mesh.texture.reshape(-1, 3).T.astype(np.float64)
    means = np.stack([np.bincount(block, channel, BLOCKS**2) / size for channel in channels], axis=1)
    return tuple(means.ravel().tolist())


def _symmetry(symmetry: Symmetry) -> str:
    if symmetry.spherical:
        return "any"
    axis = "" if symmetry.axis is None else f"about {_numbers(symmetry.axis.tolist())}"
    discrete = f"{len(symmetry.discrete)} rotations" if len(symmetry.discrete) > 1 else ""
    return ", ".join(part for part in (axis, discrete) if part)


def _three(values: NDArray[np.float64]) -> Three:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _close(first: object, second: object, tolerance: float) -> bool:
    return bool(np.abs(np.array(first, float) - np.array(second, float)).max() <= tolerance)


def _box(appearance: Appearance) -> str:
    sides = [high - low for low, high in zip(appearance.low_m, appearance.high_m, strict=True)]
    text = " × ".join(f"{100 * side:.1f}" for side in sides)
    return f"{text} cm from z = {100 * appearance.low_m[2]:.1f} cm"


def _numbers(values: Three | list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _rounded(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_rounded(part) for part in value)
    return f"{value:.5f}" if isinstance(value, float) else str(value)
