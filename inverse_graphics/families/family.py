"""What a family of scenes is: a distribution over scenes of known kinds of objects.

Where the scenes of a family take place, and what of them varies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from pydantic import BaseModel
from torch import Tensor

from inverse_graphics.families.surroundings import Surroundings
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.scene.batch import ObjectBatch, SceneBatch
from inverse_graphics.scene.tensor_batch import TensorBatch


class Extent(NamedTuple):
    """The plane on which objects stand or float, its reach, and the cameras before it.

    Origins lie within ±`reach` (2,) metres of `origin` (3,) along `axes` (2, 3), unit and orthogonal. The
    camera's orbit (azimuth, elevation in radians, distance in metres) lies between `orbit_low` and
    `orbit_high`, (3,); equal numbers are fixed.  orientation_observable: (K,) bool, the kinds on which a turn
    can be seen.
    """

    origin: Tensor
    axes: Tensor
    reach: Tensor
    orbit_low: Tensor
    orbit_high: Tensor
    orientation_observable: Tensor


@dataclass(frozen=True)
class SceneSample(TensorBatch):
    """B scenes of a family, with what a pose matrix does not show.

    scene: assets count through the family's kinds; objects are ordered by the depth of their origins, nearest
    first, and empty slots (asset −1) come last.  orbit: (B, 3), azimuth and elevation in radians, distance in
    metres, of the camera.  yaw: (B, N), radians in [−π, π); 0 in empty slots, for kinds that look the same
    from all sides, and in families whose objects turn freely.
    """

    scene: SceneBatch
    orbit: Tensor
    yaw: Tensor

    @property
    def count(self) -> Tensor:
        """(B,) int64, how many objects each scene has."""
        return (self.scene.objects.asset >= 0).sum(dim=1)


@runtime_checkable
class SceneFamily(Protocol):
    """A distribution over scenes."""

    @property
    def settings(self) -> BaseModel:
        """All that the distribution depends on; its `kind` names the family."""

    @property
    def library(self) -> MeshLibrary:
        """The kinds' meshes; index m is the m-th kind."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Asset names, "pack/object", of what may occur."""

    @property
    def symmetries(self) -> tuple[Symmetry, ...]:
        """The rotations of each kind that cannot be seen."""

    @property
    def packs_hash(self) -> str:
        """A hash (SHA-256, hexadecimal) of the asset packs that the kinds come from."""

    @property
    def count_probabilities(self) -> tuple[float, ...]:
        """Of 0, 1, … `max_objects` objects in a scene; they sum to one."""

    @property
    def max_objects(self) -> int:
        """N, the number of object slots of every scene."""

    @property
    def image_size(self) -> int:
        """Side of the square pictures, pixels."""

    @property
    def surroundings(self) -> Surroundings:
        """What all scenes share; it places the cameras."""

    @property
    def extent(self) -> Extent:
        """Where its scenes take place."""

    @property
    def floating(self) -> bool:
        """Whether objects turn freely; otherwise they stand upright, with a yaw."""

    def scenes(
        self, objects: ObjectBatch, orbit: Tensor, light_direction: Tensor | None = None
    ) -> SceneBatch:
        """Place given objects before given cameras, in this family's surroundings; differentiable.

        Args:
            objects: N object slots of each of B scenes.
            orbit: (B, 3), azimuth and elevation in radians, distance in metres, of the camera.
            light_direction: (B, 3), unit, towards the light; the settings' own if not given.

        Returns:
            B scenes.
        """

    def sample(self, count: int, generator: torch.Generator) -> SceneSample:
        """Sample scenes, on the CPU.

        Args:
            count: How many, B.
            generator: The source of randomness; the same state gives the same scenes.

        Returns:
            B scenes.
        """
