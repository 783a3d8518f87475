"""One floating object in any orientation: the single-object experiment of Eslami et al. 2016, section 3.3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from inverse_graphics.errors import SceneError
from inverse_graphics.families.family import (
    Extent,
    SceneLatents,
    SceneSample,
    log_prob_of_prefixes,
    register_family,
)
from inverse_graphics.families.kinds import Kinds, KindsInSurroundings
from inverse_graphics.families.quantities import FamilySettings, KindNames, uniform
from inverse_graphics.families.surroundings import Surroundings
from inverse_graphics.geometry.transforms import random_rotations
from inverse_graphics.packs.mesh import MeshLibrary
from inverse_graphics.packs.pack import Pack
from inverse_graphics.scene.batch import ObjectBatch
from inverse_graphics.scene.numbers import FieldOfView, Number
from inverse_graphics.scene.scene import Background, Light

PRIMITIVES = ("primitives/cube", "primitives/sphere", "primitives/cylinder")
BEFORE = -math.pi / 2
"""The camera's azimuth: it looks along +y, so that x points right and z up in the image."""


class SingleObjectSettings(FamilySettings):
    """What single-object scenes look like; lengths in metres, angles in degrees.

    Attributes:
        kinds: assets whose origin is their centre.
        distance_m: of the camera from the plane y = 0, in which origins lie.
        field_of_view_degrees: over the image's height.
    """

    kind: Literal["single_object"] = "single_object"
    kinds: KindNames = PRIMITIVES
    distance_m: Annotated[Number, Field(ge=0.1, le=100)] = 1.0
    field_of_view_degrees: FieldOfView = 19.0
    image_size: int = Field(default=64, ge=8, le=1024)
    background: Background = Background()
    light: Light = Light(direction=(0.4, -0.7, 0.6))

    @property
    def possible_counts(self) -> tuple[int, ...]:
        """One."""
        return (1,)

    def with_kinds(self, kinds: tuple[str, ...]) -> Self:
        """The same with objects of other kinds."""
        return self.model_copy(update={"kinds": kinds})


@register_family(SingleObjectSettings)
@dataclass(frozen=True)
class SingleObject(KindsInSurroundings):
    """Scenes of exactly one object, uniform in kind, in place within the image, and in orientation.

    Attributes:
        reach: metres; x and z of its origin are uniform in [−reach, reach], so that the largest kind is
            wholly visible in any orientation.
    """

    settings: SingleObjectSettings
    parts: Kinds
    surroundings: Surroundings
    reach: float

    @classmethod
    def build(cls, settings: SingleObjectSettings, packs: Sequence[Pack] = ()) -> SingleObject:
        """Load what `settings` name.

        Args:
            packs: the caller's own; shipped ones are found by name.

        Raises:
            AssetError: an unknown pack or object, or files that cannot be used.
            SceneError: an object is larger than the image.

        """
        parts = Kinds.load(settings.kinds, packs)
        surroundings = Surroundings.from_settings(
            settings.light,
            None,
            settings.background,
            (0.0, 0.0, 0.0),
            settings.field_of_view_degrees,
            settings.image_size,
        )
        return cls(settings, parts, surroundings, _reach(settings, parts.library))

    @property
    def count_probabilities(self) -> tuple[float, ...]:
        """Always one."""
        return (0.0, 1.0)

    @property
    def max_objects(self) -> int:
        """The number of slots: one."""
        return 1

    @property
    def visible_width_m(self) -> float:
        """Width of the plane of the objects' origins that an image shows, metres."""
        half = math.radians(self.settings.field_of_view_degrees) / 2
        return 2 * self.settings.distance_m * math.tan(half)

    @property
    def floating(self) -> bool:
        """Objects turn freely."""
        return True

    @cached_property
    def extent(self) -> Extent:
        """The plane y = 0, seen from one place; a rotation of any kind but balls is visible."""
        orbit = torch.tensor([BEFORE, 0.0, self.settings.distance_m])
        return Extent(
            origin=torch.zeros(3),
            axes=torch.eye(3)[[0, 2]],
            reach=torch.full((2,), self.reach),
            orbit_low=orbit,
            orbit_high=orbit,
            K=self.surroundings.K,
            orientation_observable=torch.tensor([not symmetry.spherical for symmetry in self.symmetries]),
            height=torch.zeros(len(self.kinds)),
        )

    def sample(self, count: int, generator: torch.Generator) -> SceneSample:
        """Draw scenes: the kind, the place, the orientation."""
        asset = torch.randint(len(self.kinds), (count, 1), generator=generator)
        reach = torch.tensor(self.reach)
        right_and_up = uniform(-reach, reach, (count, 1, 2), generator)
        position = torch.stack([right_and_up[..., 0], torch.zeros(count, 1), right_and_up[..., 1]], dim=-1)
        rotation = random_rotations((count, 1), generator)
        ones = torch.ones(count, 1)
        objects = ObjectBatch(asset, position, rotation, ones, ones[..., None].repeat(1, 1, 3))
        orbit = self.extent.orbit_low.repeat(count, 1)
        camera = self.cameras(orbit, self.surroundings.K.expand(count, 3, 3))
        latents = SceneLatents(orbit, asset, right_and_up, rotation, camera.K)
        return SceneSample(self.scenes(objects, camera), latents)

    def log_prob(self, scenes: SceneLatents) -> Tensor:
        """Uniform kinds and places; the density of rotations is relative to the uniform one."""
        place = -(2 * self.extent.reach.to(scenes.position)).log().sum()
        objects = place + scenes.position.new_full(scenes.asset.shape, -math.log(len(self.kinds)))
        return log_prob_of_prefixes(self, objects)

    def overlap(self, scenes: SceneLatents) -> Tensor:
        """None: a single object has no neighbours."""
        count, slots = scenes.asset.shape
        return scenes.position.new_zeros(count, slots + 1)


def _reach(settings: SingleObjectSettings, library: MeshLibrary) -> float:
    """How far from the centre a ball about the largest kind can lie and touch no edge of the image."""
    half = math.radians(settings.field_of_view_degrees) / 2
    largest = float(library.radius.max())
    reach = settings.distance_m * math.tan(half) - largest / math.cos(half)
    if not reach > 0:
        name = library.names[int(library.radius.argmax())]
        raise SceneError(
            f"asset '{name}' reaches {largest:.3g} m from its origin, more than an image "
            f"{settings.field_of_view_degrees:g} degrees wide shows at {settings.distance_m:g} m: "
            "raise distance_m or field_of_view_degrees"
        )
    return reach
