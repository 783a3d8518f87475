"""Crockery on a table: a few things that stand apart, seen from before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from inverse_graphics.families.family import Extent, SceneSample
from inverse_graphics.families.kinds import Kinds, StagedKinds
from inverse_graphics.families.object_placement import ObjectPlacement
from inverse_graphics.families.quantities import (
    CountWeights,
    FamilySettings,
    FixedOrRange,
    KindNames,
    bounds,
    middle,
    uniform,
)
from inverse_graphics.families.surroundings import Surroundings
from inverse_graphics.geometry.transforms import matrix_from_yaw
from inverse_graphics.packs.footprint import Footprints
from inverse_graphics.packs.pack import Pack
from inverse_graphics.scene.batch import ObjectBatch, depth_order, take_slots
from inverse_graphics.scene.numbers import FieldOfView, Length, Number, Point
from inverse_graphics.scene.scene import Background, Light, Table

CROCKERY = ("crockery/plate", "crockery/bowl", "crockery/mug", "crockery/glass", "crockery/pan")


class TableTopSettings(FamilySettings):
    """What table-top scenes look like; lengths in metres, angles in degrees.

    kinds: assets that stand on z = 0 by their origin.  count_weights: relative frequency of 0, 1, 2, … items.
    repeats: whether a kind may come more than once in a scene.  reach_m: items' origins are uniform over
    |x| ≤ reach_m[0], |y| ≤ reach_m[1].  clearance_m: least gap between two items' footprints.
    azimuth_degrees, elevation_degrees, distance_m: of the camera seen from target_m (azimuth −90 stands
    before the table, looking along +y): a number where it is known, [low, high] where it is uniform.
    field_of_view_degrees: over the picture's height.  light_range_degrees: the light's direction is uniform
    over the directions within this angle of `light.direction`.
    """

    kind: Literal["table_top"] = "table_top"
    kinds: KindNames = CROCKERY
    count_weights: CountWeights = (1.0, 1.0, 1.0, 1.0)
    repeats: bool = True
    reach_m: tuple[Length, Length] = (0.32, 0.22)
    clearance_m: Annotated[Number, Field(ge=0, le=10)] = 0.01
    azimuth_degrees: FixedOrRange = (-135.0, -45.0)
    elevation_degrees: FixedOrRange = (30.0, 60.0)
    distance_m: FixedOrRange = (1.3, 1.6)
    target_m: Point = (0.0, 0.0, 0.02)
    field_of_view_degrees: FieldOfView = 34.0
    image_size: int = Field(default=64, ge=8, le=1024)
    table: Table = Table(size_m=(0.9, 0.7), colour=(0.72, 0.59, 0.44))
    background: Background = Background()
    light: Light = Light(direction=(0.4, -0.3, 0.866))
    light_range_degrees: Annotated[Number, Field(ge=0, le=90)] = 0.0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.repeats and self.max_objects > len(self.kinds):
            raise ValueError(
                f"count_weights allow {self.max_objects} items without repeats, of {len(self.kinds)} kinds: "
                "allow repeats, or fewer items"
            )
        for half, side in zip(self.reach_m, self.table.size_m, strict=True):
            if 2 * half > side:
                raise ValueError(f"reach_m: {half:g} m is off a table {side:g} m long: expected at most half")
        low, high = bounds(self.elevation_degrees)
        if low < 1 or high > 90:
            raise ValueError(f"elevation_degrees: got {low:g} to {high:g}, expected 1 to 90")
        if bounds(self.distance_m)[0] < 0.1:
            raise ValueError(f"distance_m: got {bounds(self.distance_m)[0]:g}, expected at least 0.1")
        return self

    @property
    def max_objects(self) -> int:
        """The most items that a scene can hold."""
        return len(self.count_weights) - 1

    @property
    def camera_known(self) -> bool:
        """Whether azimuth, elevation and distance are all fixed."""
        freedoms = (self.azimuth_degrees, self.elevation_degrees, self.distance_m)
        return not any(isinstance(freedom, tuple) for freedom in freedoms)

    def with_known_camera(self) -> Self:
        """The same scenes from one place: each free value of the camera fixed at its middle."""
        names = ("azimuth_degrees", "elevation_degrees", "distance_m")
        return self.model_copy(update={name: middle(getattr(self, name)) for name in names})

    def orbit_bounds(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest azimuth and elevation (radians) and distance (metres); (3,) each."""
        azimuth, elevation = bounds(self.azimuth_degrees), bounds(self.elevation_degrees)
        corners = zip(azimuth, elevation, bounds(self.distance_m), strict=True)
        low, high = (torch.tensor([math.radians(a), math.radians(e), d]) for a, e, d in corners)
        return low, high


@dataclass(frozen=True)
class TableTop(StagedKinds):
    """Scenes of items that stand on a table and do not cut into each other."""

    settings: TableTopSettings
    parts: Kinds
    placement: ObjectPlacement
    surroundings: Surroundings

    @classmethod
    def build(cls, settings: TableTopSettings, packs: Sequence[Pack] = ()) -> TableTop:
        """Load what `settings` name.  packs: one's own; shipped ones need not be given.

        Raises:
            AssetError: an unknown pack or object, or files that cannot be used.
        """
        parts = Kinds.load(settings.kinds, packs)
        footprints = Footprints.from_library(parts.library)
        return cls(
            settings,
            parts,
            ObjectPlacement(footprints, parts.has_yaw, settings.reach_m, settings.clearance_m),
            Surroundings.from_settings(
                settings.light,
                settings.table,
                settings.background,
                settings.target_m,
                settings.field_of_view_degrees,
                settings.image_size,
            ),
        )

    @property
    def has_yaw(self) -> Tensor:
        """(K,) bool: whether a kind's turn about z can be seen."""
        return self.parts.has_yaw

    @property
    def footprints(self) -> Footprints:
        """By which items are kept apart."""
        return self.placement.footprints

    @property
    def count_probabilities(self) -> tuple[float, ...]:
        """Of 0, 1, 2, … items."""
        total = sum(self.settings.count_weights)
        return tuple(weight / total for weight in self.settings.count_weights)

    @property
    def max_objects(self) -> int:
        """The number of slots."""
        return self.settings.max_objects

    @property
    def floating(self) -> bool:
        """Items stand upright."""
        return False

    @property
    def extent(self) -> Extent:
        """The table's top, and the cameras before it."""
        right, forth, _ = torch.eye(3)
        low, high = self.settings.orbit_bounds()
        reach = torch.tensor(self.settings.reach_m)
        return Extent(torch.zeros(3), torch.stack([right, forth]), reach, low, high, self.has_yaw)

    def sample(self, count: int, generator: torch.Generator) -> SceneSample:
        """Draw scenes: how many items, of which kinds, where; then the camera, then the light.

        Counts and kinds are drawn first and stay, so that their frequencies are exactly those stated.

        Raises:
            SceneError: items of a scene do not fit side by side.
        """
        asset = self._draw_kinds(count, generator)
        position, yaw = self.placement.place(asset, generator)
        low, high = self.settings.orbit_bounds()
        orbit = uniform(low, high, (count, 3), generator)
        light = self.surroundings.draw_light(count, self.settings.light_range_degrees, generator)
        ones = torch.ones(*asset.shape)
        objects = ObjectBatch(asset, position, matrix_from_yaw(yaw), ones, ones[..., None].repeat(1, 1, 3))
        order = depth_order(asset, self.surroundings.depth(position, orbit))
        objects = objects.map(lambda values: take_slots(values, order))
        return SceneSample(self.scenes(objects, orbit, light), orbit, take_slots(yaw, order))

    def acceptance_rate(self, count: int, generator: torch.Generator) -> float:
        """Estimate, from `count` scenes, how often a first placement fits."""
        asset = self._draw_kinds(count, generator)
        return float(self.placement.fits(asset, *self.placement.propose(asset, generator)).float().mean())

    def _draw_kinds(self, count: int, generator: torch.Generator) -> Tensor:
        """(B, N) int64, −1 beyond each scene's count."""
        weights, slots = torch.tensor(self.settings.count_weights), self.max_objects
        counts = torch.multinomial(weights, count, replacement=True, generator=generator)
        if self.settings.repeats:
            kinds = torch.randint(len(self.kinds), (count, slots), generator=generator)
        else:
            kinds = torch.rand(count, len(self.kinds), generator=generator).argsort(dim=1)[:, :slots]
        return torch.where(torch.arange(slots) < counts[:, None], kinds, -1)
