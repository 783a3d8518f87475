"""Crockery on a table: a few objects that stand apart, seen by a camera in front of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from inverse_graphics.families.family import (
    IMPOSSIBLE,
    Extent,
    SceneLatents,
    SceneSample,
    log_prob_of_prefixes,
    register_family,
)
from inverse_graphics.families.kinds import Kinds, KindsInSurroundings
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
from inverse_graphics.scene.camera_batch import depth_before
from inverse_graphics.scene.numbers import FieldOfView, Length, Number, Point
from inverse_graphics.scene.scene import Background, Light, Table
from inverse_graphics.scene.standing import standing_heights

CROCKERY = ("crockery/plate", "crockery/bowl", "crockery/mug", "crockery/glass", "crockery/pan")
CROWDED_SCENES = 1000
"""Scenes of the largest count of which the one with the largest items is tried before any is sampled."""


class TableTopSettings(FamilySettings):
    """What table-top scenes look like; lengths in metres, angles in degrees.

    Attributes:
        kinds: assets that stand upright, their lowest points on z = 0.
        count_weights: relative frequency of 0, 1, 2, … items.
        repeats: whether a kind may come more than once in a scene.
        reach_m: items' origins are uniform over |x| ≤ reach_m[0], |y| ≤ reach_m[1].
        clearance_m: least gap between two items' footprints.
        azimuth_degrees: of the camera seen from target_m (azimuth −90 stands in front of the table, looking
            along +y): a number where it is known, [low, high] where it is uniform.
        elevation_degrees: of the camera seen from target_m (azimuth −90 stands in front of the table, looking
            along +y): a number where it is known, [low, high] where it is uniform.
        distance_m: of the camera seen from target_m (azimuth −90 stands in front of the table, looking along
            +y): a number where it is known, [low, high] where it is uniform.
        field_of_view_degrees: over the image's height.
        light_range_degrees: the light's direction is uniform over the directions within this angle of
            `light.direction`.
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
        values = (self.azimuth_degrees, self.elevation_degrees, self.distance_m)
        return not any(isinstance(value, tuple) for value in values)

    @property
    def possible_counts(self) -> tuple[int, ...]:
        """Those of positive weight."""
        return tuple(count for count, weight in enumerate(self.count_weights) if weight > 0)

    def with_kinds(self, kinds: tuple[str, ...]) -> Self:
        """The same table with items of other kinds, at least one in every scene."""
        return self.model_copy(update={"kinds": kinds, "count_weights": (0.0, *self.count_weights[1:])})

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


@register_family(TableTopSettings)
@dataclass(frozen=True)
class TableTop(KindsInSurroundings):
    """Scenes of items that stand on a table and do not cut into each other."""

    settings: TableTopSettings
    parts: Kinds
    placement: ObjectPlacement
    surroundings: Surroundings

    @classmethod
    def build(cls, settings: TableTopSettings, packs: Sequence[Pack] = ()) -> TableTop:
        """Load what `settings` name.

        Args:
            packs: the caller's own; shipped ones are found by name.

        Raises:
            AssetError: an unknown pack or object, or files that cannot be used.

        """
        parts = Kinds.load(settings.kinds, packs)
        footprints = Footprints.from_library(parts.library)
        return cls(
            settings,
            parts,
            ObjectPlacement(
                settings.kinds, footprints, parts.has_yaw, settings.reach_m, settings.clearance_m
            ),
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
    def footprints(self) -> Footprints:
        """The outlines by which items are kept apart."""
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
    def visible_width_m(self) -> None:
        """None: the table is seen at an angle."""

    @cached_property
    def extent(self) -> Extent:
        """The table's top, and the cameras in front of it."""
        low, high = self.settings.orbit_bounds()
        return Extent(
            origin=torch.zeros(3),
            axes=torch.eye(3)[:2],
            reach=torch.tensor(self.settings.reach_m),
            orbit_low=low,
            orbit_high=high,
            K=self.surroundings.K,
            orientation_observable=self.parts.has_yaw,
            height=standing_heights(self.library),
        )

    def sample(self, count: int, generator: torch.Generator) -> SceneSample:
        """Draw scenes: how many items, of which kinds, where; then the camera, then the light.

        Counts and kinds are drawn first and stay, so that their frequencies are exactly those stated.

        Raises:
            SceneError: items of a scene do not fit side by side.
        """
        asset = self._draw_kinds(count, generator)
        position, yaw = self._checked_placement.place(asset, generator)
        low, high = self.settings.orbit_bounds()
        orbit = uniform(low, high, (count, 3), generator)
        light = self.surroundings.draw_light(count, self.settings.light_range_degrees, generator)
        camera = self.cameras(orbit, self.surroundings.K.expand(count, 3, 3))
        order = depth_order(asset, depth_before(position, camera))
        asset, position, yaw = (take_slots(values, order) for values in (asset, position, yaw))
        position[..., 2] = torch.where(asset >= 0, self.extent.height[asset.clamp(min=0)], 0.0)
        ones = torch.ones(*asset.shape)
        objects = ObjectBatch(asset, position, matrix_from_yaw(yaw), ones, ones[..., None].repeat(1, 1, 3))
        latents = SceneLatents(orbit, asset, position[..., :2], yaw, camera.K)
        return SceneSample(self.scenes(objects, camera, light), latents)

    def log_prob(self, scenes: SceneLatents) -> Tensor:
        """Uniform cameras, kinds, places and visible yaws; prefixes that intersect are `IMPOSSIBLE`."""
        reach, has_yaw = self.extent.reach.to(scenes.position), self.extent.orientation_observable
        place = -(2 * reach).log().sum()
        yaw = -math.log(2 * math.pi) * has_yaw.to(scenes.asset.device)[scenes.asset].to(place)
        objects = place + yaw + self._log_prob_of_kinds(scenes.asset)
        intersecting = torch.where(self.overlap(scenes) > 0, IMPOSSIBLE, 0.0)
        return log_prob_of_prefixes(self, objects) + intersecting

    def overlap(self, scenes: SceneLatents) -> Tensor:
        """How far the gaps between footprints fall short of the clearance."""
        gaps = self.footprints.separation(scenes.asset, scenes.position, scenes.orientation)
        short = (self.settings.clearance_m - gaps).clamp(min=0).tril(-1)
        return torch.cat([short.new_zeros(len(short), 1), short.sum(-1).cumsum(-1)], dim=-1)

    def acceptance_rate(self, count: int, generator: torch.Generator) -> float:
        """Estimate, from `count` scenes, how often a first placement fits."""
        asset = self._draw_kinds(count, generator)
        return float(self.placement.fits(asset, *self.placement.propose(asset, generator)).float().mean())

    def _log_prob_of_kinds(self, asset: Tensor) -> Tensor:
        """Log-probability of each item's kind, given those before it: (B, N), nats."""
        kinds, slots = len(self.kinds), torch.arange(asset.shape[1], device=asset.device)
        if self.settings.repeats:
            return torch.full(asset.shape, -math.log(kinds), device=asset.device)
        again = (asset[:, :, None] == asset[:, None, :]).tril(-1).any(-1)
        return torch.where(again, IMPOSSIBLE, -torch.log(kinds - slots))

    def _draw_kinds(self, count: int, generator: torch.Generator) -> Tensor:
        """(B, N) int64, −1 beyond each scene's count."""
        weights = torch.tensor(self.settings.count_weights)
        counts = torch.multinomial(weights, count, replacement=True, generator=generator)
        return self._kinds_of(counts, generator)

    def _kinds_of(self, counts: Tensor, generator: torch.Generator) -> Tensor:
        """Draw kinds for scenes of given counts (B,): (B, N) int64, −1 beyond each scene's count."""
        count, slots = len(counts), self.max_objects
        if self.settings.repeats:
            kinds = torch.randint(len(self.kinds), (count, slots), generator=generator)
        else:
            kinds = torch.rand(count, len(self.kinds), generator=generator).argsort(dim=1)[:, :slots]
        return torch.where(torch.arange(slots) < counts[:, None], kinds, -1)

    @cached_property
    def _checked_placement(self) -> ObjectPlacement:
        """The placement, after a check that the largest scene among many of the largest count fits."""
        counts = torch.full((CROWDED_SCENES,), self.settings.possible_counts[-1])
        asset = self._kinds_of(counts, torch.Generator().manual_seed(0))
        area = (self.footprints.area()[asset.clamp(min=0)] * (asset >= 0)).sum(-1)
        self.placement.check(asset[area.argmax()])
        return self.placement
