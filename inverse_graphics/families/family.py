"""The interface of scene families, and the registry that settings and recipes build them from.

A family is a distribution over scenes of known kinds of objects: it samples scenes and cameras, and gives the
probability density of a scene's latents. To add one, write its settings and its class in one file, register
the class there with `register_family`, and import that file in `registry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from inverse_graphics.families.quantities import FamilySettings
from inverse_graphics.geometry.transforms import matrix_from_yaw
from inverse_graphics.packs.appearance import KnowsObjects
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import Pack
from inverse_graphics.packs.symmetry import Symmetry
from inverse_graphics.scene.batch import CameraBatch, ObjectBatch, SceneBatch, take_slots
from inverse_graphics.scene.tensor_batch import TensorBatch

IMPOSSIBLE = -60.0
"""Log-probability of what never occurs: finite, so that no weight times it is undefined."""


class Extent(NamedTuple):
    """The plane on which objects stand or float, its reach, and the cameras that occur.

    Attributes:
        origin: (3,), metres.
        axes: (2, 3), unit and orthogonal.
        reach: (2,), metres: the origins of objects, projected on the plane, lie within ±reach of `origin`
            along the axes.
        orbit_low: (3,), bounds of the camera's azimuth and elevation, radians, and distance, metres; equal
            numbers are fixed.
        orbit_high: (3,), bounds of the camera's azimuth and elevation, radians, and distance, metres; equal
            numbers are fixed.
        K: (3, 3), pixels, the intrinsics of images that come without their own.
        orientation_observable: (M,) bool, for each of M kinds whether a rotation of an object is visible.
        height: (M,), metres, for each kind how far above the plane its origin is, along axes[0] × axes[1].
    """

    origin: Tensor
    axes: Tensor
    reach: Tensor
    orbit_low: Tensor
    orbit_high: Tensor
    K: Tensor
    orientation_observable: Tensor
    height: Tensor


@dataclass(frozen=True)
class SceneLatents(TensorBatch):
    """What a scene's image depends on beside what the family fixes: B scenes of up to N objects, and cameras.

    Attributes:
        orbit: (B, 3), the camera's azimuth and elevation, radians, and distance, metres.
        asset: (B, N) int64, the objects' kinds, −1 beyond each scene's count.
        position: (B, N, 2), metres, on the plane of the family's `Extent`.
        orientation: (B, N) yaws, radians, or (B, N, 3, 3) rotations where objects turn freely.
        K: (B, 3, 3), the camera's intrinsics, pixels: known, not inferred.
    """

    orbit: Tensor
    asset: Tensor
    position: Tensor
    orientation: Tensor
    K: Tensor

    @property
    def counts(self) -> Tensor:
        """(B,) int64."""
        return (self.asset >= 0).sum(-1)

    @property
    def rotation(self) -> Tensor:
        """(B, N, 3, 3), world from object."""
        return matrix_from_yaw(self.orientation) if self.orientation.dim() == 2 else self.orientation

    def take_slots(self, order: Tensor) -> SceneLatents:
        """The objects in another order.

        Args:
            order: (B, N), for each new slot the old one.
        """
        return self._of_slots(lambda values: take_slots(values, order))

    def first_slots(self, count: int) -> SceneLatents:
        """The first `count` objects of each scene."""
        return self._of_slots(lambda values: values[:, :count])

    def _of_slots(self, function: Callable[[Tensor], Tensor]) -> SceneLatents:
        asset, position, orientation = map(function, (self.asset, self.position, self.orientation))
        return self.replace(asset=asset, position=position, orientation=orientation)


@dataclass(frozen=True)
class SceneSample(TensorBatch):
    """B scenes of a family.

    Attributes:
        scene: as engines render it, with the camera and the light that were drawn.
        latents: what a model infers of it.  Assets are indices of the family's kinds; objects are ordered by
            the depth of their places on the plane, nearest first, and empty slots (asset −1) come last. Yaws
            lie in [−π, π), and are 0 in empty slots and for kinds that look the same from all sides.
    """

    scene: SceneBatch
    latents: SceneLatents


@runtime_checkable
class SceneFamily(KnowsObjects, Protocol):
    """A distribution over scenes."""

    @property
    def settings(self) -> FamilySettings:
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
    def count_probabilities(self) -> tuple[float, ...]:
        """Of 0, 1, … `max_objects` objects in a scene; they sum to one."""

    @property
    def max_objects(self) -> int:
        """N, the number of object slots of every scene."""

    @property
    def image_size(self) -> int:
        """Side of the square images that it renders, pixels."""

    @property
    def extent(self) -> Extent:
        """Where its scenes take place, and which cameras occur."""

    @property
    def floating(self) -> bool:
        """Whether objects turn freely; otherwise they stand upright, with a yaw."""

    @property
    def visible_width_m(self) -> float | None:
        """Width of the objects' plane that an image shows, metres; None where it is not seen straight on."""

    def cameras(self, orbit: Tensor, K: Tensor) -> CameraBatch:
        """Place cameras on orbits about what this family's cameras look at; differentiable.

        Args:
            orbit: (B, 3), see `SceneLatents`.
            K: (B, 3, 3), pixels.
        """

    def scenes(
        self, objects: ObjectBatch, camera: CameraBatch, light_direction: Tensor | None = None
    ) -> SceneBatch:
        """Place given objects before given cameras, in this family's surroundings; differentiable.

        Args:
            objects: N object slots of each of B scenes.
            camera: B cameras.
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

    def log_prob(self, scenes: SceneLatents) -> Tensor:
        """Log density of the camera, the first n objects, and of there being n: (B, N + 1), n = 0 … N, nats.

        The density is of objects in the order given, which may be any: those of a scene are interchangeable.
        Where they must not intersect, positions are uniform over the placements that fit, and the density is
        not normalised for that: with several objects it is too small by the factor by which objects of their
        kinds fit.

        Args:
            scenes: all N slots filled. What an empty slot holds counts only in prefixes that include it.
        """

    def overlap(self, scenes: SceneLatents) -> Tensor:
        """By how much the first n objects come too close to each other: (B, N + 1), metres, differentiable.

        Summed over pairs; 0 where the family allows the scene. Empty slots take part as `log_prob` says.
        """


def log_prob_of_prefixes(family: SceneFamily, objects: Tensor) -> Tensor:
    """Combine the objects' log densities with those of camera and count, as `SceneFamily.log_prob` does.

    The camera is uniform over what is free of its orbit.

    Args:
        objects: (B, N), nats.

    Returns:
        (B, N + 1), nats.
    """
    extent = family.extent
    width = extent.orbit_high - extent.orbit_low
    camera = -width.where(width > 0, 1.0).log().sum().to(objects)
    counts = torch.tensor(family.count_probabilities).log().clamp(min=IMPOSSIBLE).to(objects)
    return torch.cat([camera.expand(len(objects), 1), objects], dim=-1).cumsum(-1) + counts


class BuildsFamily(Protocol):
    """A class of families that settings of one type describe."""

    @classmethod
    def build(cls, settings: Any, packs: Sequence[Pack] = ()) -> SceneFamily:
        """Load the objects that settings name.

        Args:
            packs: the caller's own; shipped ones need not be given.
        """


class FamilyEntry(NamedTuple):
    """A registered family: the type of its settings, and the class that they build."""

    settings: type[FamilySettings]
    family: type[BuildsFamily]


FAMILIES: dict[str, FamilyEntry] = {}
"""Registered families by the `kind` of their settings."""

Family = TypeVar("Family", bound=BuildsFamily)


def register_family(settings: type[FamilySettings]) -> Callable[[type[Family]], type[Family]]:
    """Register a class of families under the default of its settings' field `kind`."""

    def register(family: type[Family]) -> type[Family]:
        kind = settings.model_fields["kind"].default
        assert kind not in FAMILIES, f"family '{kind}' is registered twice"
        FAMILIES[kind] = FamilyEntry(settings, family)
        return family

    return register
